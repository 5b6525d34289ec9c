"""Wakes idle workers when tasks come in, so that they need not poll in a hurry.

NOTIFY holds a cluster-wide lock over its commit: inside hot transactions it halved their rate. So it runs
by itself, at most once in a few milliseconds, and a lost ring only costs a worker's polling interval.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.storage.database import Database

log = get_logger(__name__)

CHANNEL = "taskmill_dispatch"
CONTRACTS: Final = "taskmill_contracts"
"""The channel that rings when the contracts of types have changed."""
_DEBOUNCE_S = 0.01
_LONGEST_PAUSE_S = 5.0


class Doorbell:
    """The side that rings: a service, and `ring` for whoever has brought work."""

    name = "doorbell"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Tell all workers soon that something waits; costs nothing here."""
        self._rung.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Pass the rings on until told to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end(stop))
            await self._rung.wait()
            while not stop.is_set():
                self._rung.clear()
                await self._pass_on()
                await pause(stop, _DEBOUNCE_S)
                await self._rung.wait()

    async def _end(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._rung.set()

    async def _pass_on(self) -> None:
        try:
            await self._database.fetch("ring_doorbell")
        except (Unavailable, asyncpg.PostgresError) as error:
            log.debug("doorbell.unheard", error=str(error))


class DoorbellListener:
    """The side that hears: a service that calls `heard` for every ring, and after each reconnect.

    `also` has what to call for rings of other channels.
    """

    name = "doorbell-listener"

    def __init__(
        self,
        database: Database,
        heard: Callable[[], None],
        *,
        also: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self._database = database
        self._heard = {CHANNEL: heard, **(also or {})}

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
            await _either(lost, stop)
        finally:
            connection.terminate()

    def _on_notification(self, _: object, __: int, channel: str, ___: object) -> None:
        self._heard[channel]()


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    """Wait until one of two events is set."""
    async with asyncio.TaskGroup() as group:
        waits = {group.create_task(first.wait()), group.create_task(second.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
