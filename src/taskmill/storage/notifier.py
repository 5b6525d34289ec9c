"""Notifies other processes by LISTEN and NOTIFY when something has changed, so that they can poll seldom.

NOTIFY holds a cluster-wide lock over its commit: inside hot transactions it halved their rate. So it runs by
itself, after the commit and rate-limited; a lost notification only costs the pause between two polls. Only a task
that is created alone notifies within its own transaction.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.idle_backoff import IdleBackoff
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.runtime.waiting import first_of, wake_on
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection

log = get_logger(__name__)

CHANNEL: Final = "taskmill_dispatch"
"""Notified when tasks were created."""
CHANGES: Final = "taskmill_changes"
"""Notified when anything has changed: at most once a second by each process."""
FEED: Final = "taskmill_feed"
"""Notified when changes were numbered: at most once a second."""
CONTRACTS: Final = "taskmill_contracts"
"""Notified when the contracts of types have changed."""
API_KEYS: Final = "taskmill_api_keys"
"""Notified when API keys were revoked or rotated."""
SESSIONS: Final = "taskmill_sessions"
"""Notified when sessions of the dashboard were ended."""
CHANGES_PAUSE_S: Final = 1.0
_DEBOUNCE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 5.0
# The longest pause before a failed notification is retried.
_LONGEST_RETRY_S: Final = 1.0
# How often a listener notifies itself to check the connection, and how long it waits for that.
_ECHO_S: Final = 15.0
_ECHO_TIMEOUT_S: Final = 5.0


class Notifier:
    """A service that sends the notifications of one channel; many within a short time become one."""

    name = "notifier"

    def __init__(
        self, database: Database, *, channel: str = CHANNEL, pause_s: float = _DEBOUNCE_S
    ) -> None:
        self._database = database
        self._channel = channel
        self._pause_s = pause_s
        self._wanted = asyncio.Event()

    def notify(self) -> None:
        """Have all listeners notified soon; returns at once."""
        self._wanted.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send requested notifications until `stop`."""
        async with wake_on(stop, self._wanted.set):
            failures = 0
            await self._wanted.wait()
            while not stop.is_set():
                self._wanted.clear()
                if await self._is_sent():
                    failures = 0
                    await pause(stop, self._pause_s)
                else:
                    failures += 1
                    self._wanted.set()
                    await pause(stop, backoff_s(failures, first=0.1, longest=_LONGEST_RETRY_S))
                await self._wanted.wait()

    async def _is_sent(self) -> bool:
        try:
            await self._database.fetch("notify", self._channel)
        except (Unavailable, asyncpg.PostgresError) as error:
            log.debug("notifier.failed", error=str(error))
            return False
        return True


class NotificationListener:
    """A service that calls `on_tasks` for every notification of tasks, and after each reconnect.

    It gets what the notification says: a hint, if a single task has come that is due, else nothing. It is None for
    a process that does not wait for tasks; `also` maps other channels to callbacks. With an
    `idle_backoff` it notifies itself every 15 s to check that notifications arrive, and reports to it whether they
    do, and each of them as activity.
    """

    name = "notification-listener"

    def __init__(
        self,
        database: Database,
        on_tasks: Callable[[str], None] | None,
        *,
        also: Mapping[str, Callable[[], None]] | None = None,
        idle_backoff: IdleBackoff | None = None,
    ) -> None:
        self._database = database
        self._on_tasks = on_tasks
        self._also = also or {}
        self._idle_backoff = idle_backoff
        self._echoed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop`; reconnect when the connection breaks."""
        failures = 0
        while not stop.is_set():
            try:
                await self._listen(stop)
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, polling goes on without us
                failures += 1
                log.debug("notifications.lost", error=repr(error), failures=failures)
                await pause(stop, backoff_s(failures, first=0.1, longest=_LONGEST_PAUSE_S))

    async def _listen(self, stop: asyncio.Event) -> None:
        connection = await self._database.connect()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            for channel in (*([CHANNEL] if self._on_tasks else []), *self._also):
                await connection.add_listener(channel, self._on_notification)
                self._call(channel, "")
            if self._idle_backoff is None:
                await first_of(lost, stop)
            else:
                await self._check_echo(connection, self._idle_backoff, lost, stop)
        finally:
            if self._idle_backoff is not None:
                self._idle_backoff.set_notified(is_notified=False)
            connection.terminate()

    async def _check_echo(
        self,
        connection: Connection,
        idle_backoff: IdleBackoff,
        lost: asyncio.Event,
        stop: asyncio.Event,
    ) -> None:
        """Notify itself until the connection is lost: a network that swallows everything would go unnoticed.

        Raises:
            TimeoutError: its own notification did not arrive.
        """
        own = f"taskmill_echo_{uuid4().hex}"
        await connection.add_listener(own, self._on_echo)
        while not (lost.is_set() or stop.is_set()):
            self._echoed.clear()
            [row] = await self._database.fetch("test_notifications", own)
            async with asyncio.timeout(_ECHO_TIMEOUT_S):
                await self._echoed.wait()
            idle_backoff.set_notified(is_notified=row["all_notify"])
            await first_of(lost, stop, timeout_s=_ECHO_S)

    def _on_echo(self, *_: object) -> None:
        self._echoed.set()

    def _on_notification(self, _: object, __: int, channel: str, payload: object) -> None:
        if self._idle_backoff is not None:
            self._idle_backoff.mark_activity()
        self._call(channel, str(payload))

    def _call(self, channel: str, payload: str) -> None:
        if channel in self._also:
            self._also[channel]()
        elif self._on_tasks is not None:
            self._on_tasks(payload)
