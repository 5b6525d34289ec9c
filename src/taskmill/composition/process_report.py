"""A process reports once a minute that it lives: roles, version, duties that fail, and its machine's clock."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.attention_snapshot import FailingDuty
from taskmill.domain.errors import Unavailable
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.storage import processes
from taskmill.storage.database import Database
from taskmill.version import VERSION

_INTERVAL_S: Final = 60.0
_REMOVAL_TIMEOUT_S: Final = 2.0


def each_minute(name: str, duty: Callable[[], Awaitable[None]]) -> Periodic:
    """Return what does a duty each minute, also after failures: who is late with it is taken for gone."""
    return Periodic(name, duty, interval_s=_INTERVAL_S, longest_s=_INTERVAL_S)


class ProcessReport:
    """Reports for as long as its process runs; one that stops in order is removed."""

    name = "process-report"

    def __init__(
        self,
        database: Database,
        clock: SystemClock,
        process_id: UUID,
        *,
        process_name: str,
        roles: Sequence[str],
        services: Sequence[Service],
    ) -> None:
        """`services` are those of the process, whose duties may fail; more may be added until it runs."""
        self._database = database
        self._clock = clock
        self._id = process_id
        self._process_name = process_name
        self._roles = sorted(roles)
        self._services = services

    async def run(self, stop: asyncio.Event) -> None:
        """Report until `stop` is set."""
        await each_minute("report-process", self.report).run(stop)
        with suppress(TimeoutError, Unavailable, asyncpg.PostgresError):
            async with asyncio.timeout(_REMOVAL_TIMEOUT_S):
                await processes.remove(self._database, self._id)

    async def report(self) -> None:
        """Report once."""
        await processes.report(
            self._database,
            self._id,
            name=self._process_name,
            roles=self._roles,
            version=VERSION,
            clock_ahead_s=self._clock.machine_ahead_s(),
            failing=self._failing(),
        )

    def _failing(self) -> list[FailingDuty]:
        now_s = asyncio.get_running_loop().time()
        return [
            FailingDuty(
                name=one.name,
                failures=one.failure.failures,
                for_s=now_s - one.failure.since_s,
                error=one.failure.error,
            )
            for one in self._services
            if isinstance(one, Periodic) and one.failure is not None
        ]
