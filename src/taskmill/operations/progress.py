"""Progress reports of running tasks, written in batches: of several reports of one claim only the last counts.

Whether a report is of the current claim, its fence decides in the database.
"""

import asyncio
import math
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.task import Fence
from taskmill.observability.logs import get_logger
from taskmill.storage import progress
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.progress import Report

log = get_logger(__name__)

LONGEST_MESSAGE: Final = 500
"""In characters; what is longer is cut."""

_MOST_AT_ONCE = 1000
_OUTAGE_PAUSE_S = 0.5
_LAST_WRITE_S = 2.0


class _Entry:
    """A report that waits, or is being written, and the callers that wait for its result.

    It is retained through an outage if a caller reported it without waiting.
    """

    __slots__ = ("is_retained", "report", "waiters")

    def __init__(self, report: Report) -> None:
        self.report = report
        self.waiters: list[asyncio.Future[bool]] = []
        self.is_retained = False


class ProgressReports:
    """Takes reports from any thread and writes them on the loop that entered it, one batch after the other.

    `report` takes some microseconds, whatever the database does; reports within `pace_s` seconds share one
    statement. While the database is away the latest report of each claim waits; one whose fence no longer holds by
    then is dropped silently. Call `settle` before a claim ends: afterwards its fence no longer holds.

    Use it as an async context manager. Leaving writes what waits, if the database accepts it within 2 s.
    """

    def __init__(self, database: Database, *, pace_s: float = 0.1) -> None:
        self._database = database
        self._pace_s = pace_s
        self._lock = threading.Lock()
        # By the whole fence: of two leases that name the same claim, only one can hold it.
        self._waiting: dict[Fence, _Entry] = {}
        self._in_flight: dict[Fence, _Entry] = {}
        self._is_notified = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._wanted, self._urgent = asyncio.Event(), asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._writer = self._tasks.create_task(self._write_for_ever())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.cancel()
        await asyncio.wait([self._writer])
        if kind is None:
            await self._write_the_last()
        self._refuse(self._waiting.values(), Unavailable(RETRY_AFTER_S, "this server"))
        await self._tasks.__aexit__(kind, error, trace)

    def report(self, fence: Fence, share: float | None = None, message: str | None = None) -> None:
        """Report a claim's progress without waiting; may be called from any thread.

        A share is clamped to 0 and 1, and NaN is as none.
        """
        report = _storable(fence, share, message)
        with self._lock:
            self._put(report).is_retained = True
            if self._is_notified:
                return
            self._is_notified = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wanted.set)

    async def store(
        self, fence: Fence, share: float | None = None, message: str | None = None
    ) -> bool:
        """Report a claim's progress, and return after the commit whether its fence held.

        Call it on the loop. A later report of the same claim may replace this one.

        Raises:
            Unavailable: the database is away; whether the report was stored is unknown.
        """
        with self._lock:
            entry = self._put(_storable(fence, share, message))
        return await self._wait_for(entry)

    def has_reports_of(self, fence: Fence) -> bool:
        """Return whether a report of the claim waits, so that `settle` would wait."""
        if not (self._waiting or self._in_flight):
            return False
        return fence in self._waiting or fence in self._in_flight

    async def settle(self, fence: Fence) -> None:
        """Wait until no report of the claim waits any more.

        Call it on the loop. When the database is away it returns anyway: progress is not worth a longer wait.
        """
        if not (self._waiting or self._in_flight):
            return
        entry = self._waiting.get(fence) or self._in_flight.get(fence)
        if entry is None:
            return
        try:
            await self._wait_for(entry)
        except (Unavailable, asyncpg.PostgresError):
            return

    def _put(self, report: Report) -> _Entry:
        entry = self._waiting.get(report.fence)
        if entry is None:
            entry = self._waiting[report.fence] = _Entry(report)
        else:
            entry.report = report
        return entry

    async def _wait_for(self, entry: _Entry) -> bool:
        waiter: asyncio.Future[bool] = self._loop.create_future()
        entry.waiters.append(waiter)
        self._wanted.set()
        self._urgent.set()
        return await waiter

    async def _write_for_ever(self) -> None:
        while True:
            await self._wanted.wait()
            self._urgent.clear()
            if not await self._write_some():
                await asyncio.sleep(_OUTAGE_PAUSE_S)
                continue
            try:
                async with asyncio.timeout(self._pace_s):
                    await self._urgent.wait()
            except TimeoutError:
                continue

    async def _write_some(self) -> bool:
        """Write what waits, up to one statement's limit; False when the database is away."""
        self._in_flight = batch = self._take()
        if not batch:
            return True
        try:
            held = await progress.store(self._database, [e.report for e in batch.values()])
        except asyncio.CancelledError:
            self._put_back(batch)
            raise
        except Unavailable as error:
            self._refuse(batch.values(), error)
            self._put_back(batch)
            log.info("progress.delayed", tasks=len(batch), error=repr(error.__cause__ or error))
            return False
        except asyncpg.PostgresError as error:
            self._refuse(batch.values(), error)
            log.warning("progress.refused", tasks=len(batch), error=repr(error))
            return True
        finally:
            self._in_flight = {}
        for fence, entry in batch.items():
            for waiter in entry.waiters:
                if not waiter.done():
                    waiter.set_result(fence in held)
        return True

    def _take(self) -> dict[Fence, _Entry]:
        with self._lock:
            if len(self._waiting) <= _MOST_AT_ONCE:
                batch, self._waiting = self._waiting, {}
                self._is_notified = False
                self._wanted.clear()
                return batch
            keys = list(self._waiting)[:_MOST_AT_ONCE]
            self._urgent.set()
            return {key: self._waiting.pop(key) for key in keys}

    def _put_back(self, batch: dict[Fence, _Entry]) -> None:
        """Keep the reports for another try, unless there are newer ones, or their callers got an error.

        So during an outage only reports of this process's own claims wait, not those that come over HTTP.
        """
        with self._lock:
            for fence, entry in batch.items():
                if not (entry.is_retained or entry.waiters):
                    continue
                newest = self._waiting.setdefault(fence, entry)
                if newest is not entry:
                    newest.waiters.extend(entry.waiters)
                    newest.is_retained |= entry.is_retained
            self._is_notified = True
        self._wanted.set()

    def _refuse(self, entries: Iterable[_Entry], error: Exception) -> None:
        for entry in entries:
            for waiter in entry.waiters:
                if not waiter.done():
                    waiter.set_exception(error)
            entry.waiters.clear()

    async def _write_the_last(self) -> None:
        try:
            async with asyncio.timeout(_LAST_WRITE_S):
                while self._waiting and await self._write_some():
                    pass
        except TimeoutError:
            return


def _storable(fence: Fence, share: float | None, message: str | None) -> Report:
    if share is not None:
        share = None if math.isnan(share) else min(max(float(share), 0.0), 1.0)
    if message is not None:
        if len(message) > LONGEST_MESSAGE:
            message = message[: LONGEST_MESSAGE - 1] + "…"
        message = message.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return Report(fence=fence, share=share, message=message)
