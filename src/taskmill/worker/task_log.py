"""Stores what handlers log with their tasks, without making a handler wait.

The lines that wait to be stored are limited in total. One asyncio task flushes them, a fifth of a second after the
first one arrived. A `runtime.Batcher` flushes sooner, for callers that wait; here nobody waits, and larger batches
take fewer statements, on only one connection.
"""

import asyncio
import threading
from collections import Counter, deque
from contextlib import suppress
from itertools import accumulate, islice
from typing import Self

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.task_log import NOTHING
from taskmill.observability import capture
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import TASK_LOG_DROPPED, TASK_LOG_STORED
from taskmill.runtime.clock import Clock
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.settings import TaskLogSettings
from taskmill.storage import faults, task_log
from taskmill.storage.database import Database
from taskmill.storage.task_log import NewLine

log = get_logger(__name__)

_GATHER_S = 0.2
_MOST_AT_ONCE = 1000
_MOST_BYTES = 1024**2
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
# The time for the last lines of a stopping worker, after its last outcome is recorded.
LAST_FLUSH_S = 1.0
# The memory for a line beside its text (measured with tracemalloc, 2026-11-25: 374 bytes).
_LINE_BYTES = 400
_REPORT_S = 10.0


class TaskLog:
    """The log lines of one worker. Use it as an async context manager; leaving flushes, for a second at most."""

    def __init__(self, database: Database, *, limits: TaskLogSettings, clock: Clock) -> None:
        self._database = database
        self.limits = limits
        self.least_level = limits.least_level
        self.clock = clock
        # Reentrant: while a line is added the garbage collector may run something that logs another one.
        self.lock = threading.RLock()
        self._waiting: deque[tuple[NewLine, int]] = deque()
        self._waiting_bytes = 0
        self._is_open = False
        self._is_notified = False
        self._dropped: Counter[str] = Counter()
        self._unreported: Counter[str] = Counter()
        self._report_at = 0.0
        self._has_lines, self._closing = asyncio.Event(), asyncio.Event()
        self._duty = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await self._duty.__aenter__()
        self._flusher = self._duty.create_task(self._flush_until_closed())
        self._is_open = True
        if self.least_level < NOTHING:
            capture.capture_from(self.least_level)
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._is_open = False
        self._closing.set()
        self._has_lines.set()
        try:
            if error is None:
                await asyncio.wait([self._flusher], timeout=LAST_FLUSH_S)
        finally:
            self._flusher.cancel()
            await self._duty.__aexit__(None, None, None)
            with self.lock:
                self._dropped["stopped"] += len(self._waiting)
                self._waiting.clear()
            self._report_dropped(at_once=True)

    def put(self, line: NewLine, size: int) -> bool:
        """Add a line to be stored; False if there is no room for it. Call it with the lock held."""
        size += _LINE_BYTES
        if not self._is_open or self._waiting_bytes + size > self.limits.waiting_bytes:
            return False
        self._waiting.append((line, size))
        self._waiting_bytes += size
        if not self._is_notified:
            self._is_notified = True
            # From any thread. If the loop was closed meanwhile, the loss has been reported.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._has_lines.set)
        return True

    def count_missing(self, *, is_claim_full: bool) -> None:
        """Count a line that is not stored: it is over its claim's limits, or there is no room. Hold the lock."""
        reason = "claim_full" if is_claim_full else "queue_full" if self._is_open else "stopped"
        self._dropped[reason] += 1

    async def _flush_until_closed(self) -> None:
        while True:
            await self._has_lines.wait()
            await pause(self._closing, _GATHER_S)
            self._has_lines.clear()
            self._is_notified = False
            while batch := self._next_batch():
                await self._store_with_retries(batch)
                self._forget(len(batch))
            self._report_dropped()
            if self._closing.is_set():
                return

    def _next_batch(self) -> list[NewLine]:
        """Return the first waiting lines; they stay in the queue until they are stored."""
        with self.lock:
            first = list(islice(self._waiting, _MOST_AT_ONCE))
        sizes = accumulate(size for _, size in first)
        fitting = sum(size <= _MOST_BYTES for size in sizes)
        return [line for line, _ in first[: max(fitting, 1)]]

    def _forget(self, count: int) -> None:
        with self.lock:
            for _ in range(count):
                self._waiting_bytes -= self._waiting.popleft()[1]

    async def _store_with_retries(self, batch: list[NewLine]) -> None:
        """Store a batch, with retries while the database is away; a batch that it refuses is dropped."""
        failures = 0
        while True:
            try:
                return await self._store(batch)
            except Unavailable as error:
                failures += 1
                log.info("task_log.delayed", lines=len(batch), failures=failures, error=str(error))
            except Exception as error:  # noqa: BLE001 - the flusher's boundary: a line must not end the worker
                log.warning("task_log.refused", lines=len(batch), error=repr(error))
                return self._drop("refused", len(batch))
            self._report_dropped()
            if self._closing.is_set():
                return self._drop("stopped", len(batch))
            await pause(
                self._closing,
                backoff_s(failures, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S),
            )

    async def _store(self, batch: list[NewLine]) -> None:
        """Store a batch; if one of its lines is at fault, it is found by bisection."""
        try:
            stored = await task_log.store(self._database, batch)
        except asyncpg.PostgresError as error:
            if len(batch) == 1 or not faults.is_item_fault(error):
                raise
            middle = len(batch) // 2
            await self._store_with_retries(batch[:middle])
            await self._store_with_retries(batch[middle:])
        else:
            TASK_LOG_STORED.inc(stored)
            self._drop("superseded", len(batch) - stored)

    def _drop(self, reason: str, count: int) -> None:
        with self.lock:
            self._dropped[reason] += count

    def _report_dropped(self, *, at_once: bool = False) -> None:
        """Count the lines dropped since the last call, and log them now and then."""
        with self.lock:
            dropped, self._dropped = self._dropped, Counter()
        for reason, count in dropped.items():
            TASK_LOG_DROPPED.labels(reason).inc(count)
        # These are reported in the log of each task.
        del dropped["claim_full"]
        self._unreported += dropped
        now = self.clock.monotonic()
        if self._unreported and (at_once or now >= self._report_at):
            log.warning("task_log.dropped", lines=self._unreported.total(), **self._unreported)
            self._unreported.clear()
            self._report_at = now + _REPORT_S
