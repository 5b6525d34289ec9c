"""Wakes those who wait when something happens elsewhere, so that they need not look in a hurry.

NOTIFY holds a cluster-wide lock over its commit: inside hot transactions it halved their rate. So it runs by
itself, after the commit and at most once in a while, and a lost ring only costs the pause between two looks. Only
a task that is created while no other is rings within its own transaction.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.alertness import Alertness
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.runtime.waiting import first_of, wake_on
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection

log = get_logger(__name__)

CHANNEL: Final = "taskmill_dispatch"
"""The channel that rings when tasks have come."""
CHANGES: Final = "taskmill_changes"
"""The channel that rings when anything has happened: at most once a second from each process."""
FEED: Final = "taskmill_feed"
"""The channel that rings when changes have got their numbers: at most once a second."""
CONTRACTS: Final = "taskmill_contracts"
"""The channel that rings when the contracts of types have changed."""
CHANGES_PAUSE_S: Final = 1.0
_DEBOUNCE_S: Final = 0.01
_LONGEST_PAUSE_S: Final = 5.0
# A ring that could not be passed on is tried again this often at least.
_LONGEST_DEBT_S: Final = 1.0
# A listener asks so often whether it still hears, and waits so long for its own voice.
_ECHO_S: Final = 15.0
_ECHO_PATIENCE_S: Final = 5.0


class Doorbell:
    """The side that rings: a service, and `ring` for whoever has brought work, or changed something."""

    name = "doorbell"

    def __init__(
        self, database: Database, *, channel: str = CHANNEL, pause_s: float = _DEBOUNCE_S
    ) -> None:
        self._database = database
        self._channel = channel
        self._pause_s = pause_s
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Tell all who listen soon; costs nothing here."""
        self._rung.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Pass the rings on until told to stop."""
        async with wake_on(stop, self._rung.set):
            failures = 0
            await self._rung.wait()
            while not stop.is_set():
                self._rung.clear()
                if await self._passes_on():
                    failures = 0
                    await pause(stop, self._pause_s)
                else:
                    failures += 1
                    self._rung.set()
                    await pause(stop, backoff_s(failures, first=0.1, longest=_LONGEST_DEBT_S))
                await self._rung.wait()

    async def _passes_on(self) -> bool:
        try:
            await self._database.fetch("ring_doorbell", self._channel)
        except (Unavailable, asyncpg.PostgresError) as error:
            log.debug("doorbell.unheard", error=str(error))
            return False
        return True


class DoorbellListener:
    """The side that hears: a service that calls `heard` for every ring, and after each reconnect.

    `heard` is None for who does not wait for tasks. `also` has what to call for rings of other channels. With an
    `alertness` it makes sure, again and again, that rings come at all: it rings for itself. It is told of that,
    and of every ring.
    """

    name = "doorbell-listener"

    def __init__(
        self,
        database: Database,
        heard: Callable[[], None] | None,
        *,
        also: Mapping[str, Callable[[], None]] | None = None,
        alertness: Alertness | None = None,
    ) -> None:
        self._database = database
        self._heard = {**({} if heard is None else {CHANNEL: heard}), **(also or {})}
        self._alertness = alertness
        self._echoed = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until told to stop; a broken connection is made anew."""
        failures = 0
        while not stop.is_set():
            try:
                await self._listen(stop)
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever it is, polling goes on without us
                failures += 1
                log.debug("doorbell.deaf", error=repr(error), failures=failures)
                await pause(stop, backoff_s(failures, first=0.1, longest=_LONGEST_PAUSE_S))

    async def _listen(self, stop: asyncio.Event) -> None:
        connection = await self._database.connect()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            for channel, heard in self._heard.items():
                await connection.add_listener(channel, self._on_notification)
                heard()
            if self._alertness is None:
                await first_of(lost, stop)
            else:
                await self._listen_to_itself(connection, self._alertness, lost, stop)
        finally:
            if self._alertness is not None:
                self._alertness.hear(hears=False)
            connection.terminate()

    async def _listen_to_itself(
        self,
        connection: Connection,
        alertness: Alertness,
        lost: asyncio.Event,
        stop: asyncio.Event,
    ) -> None:
        """Ring for itself until the connection is lost. A network that swallows everything breaks none.

        Raises:
            TimeoutError: nothing was heard.
        """
        own = f"taskmill_echo_{uuid4().hex}"
        await connection.add_listener(own, self._on_echo)
        while not (lost.is_set() or stop.is_set()):
            self._echoed.clear()
            [answer] = await self._database.fetch("test_doorbell", own)
            async with asyncio.timeout(_ECHO_PATIENCE_S):
                await self._echoed.wait()
            alertness.hear(hears=answer["all_ring"])
            await first_of(lost, stop, timeout_s=_ECHO_S)

    def _on_echo(self, *_: object) -> None:
        self._echoed.set()

    def _on_notification(self, _: object, __: int, channel: str, ___: object) -> None:
        if self._alertness is not None:
            self._alertness.stir()
        self._heard[channel]()
