"""Attempts with test handlers, and an in-memory store for their ends: no database is needed."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from taskmill.app import Context
from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Outcome, Succeeded
from taskmill.domain.task import Fence
from taskmill.operations.contracts import Contracts
from taskmill.operations.first_claims import FirstClaims
from taskmill.operations.progress import ProgressReports
from taskmill.runtime.clock import Clock, SystemClock
from taskmill.settings import DatabaseSettings, TaskLogSettings
from taskmill.storage.claims import AttemptEnd, EndedAttempt
from taskmill.storage.database import Database
from taskmill.worker.attempt import Attempt
from taskmill.worker.ends import ClaimEnds, EndPolicy
from taskmill.worker.executor import Executor
from taskmill.worker.handlers import Handler, Handlers
from taskmill.worker.options import WorkerOptions
from taskmill.worker.pool import AttemptPool
from taskmill.worker.recorder import Recorder
from taskmill.worker.task_log import TaskLog
from tests.support.builders import AT_ONCE
from tests.support.contexts import CLAIMED

SOON: Final = timedelta(milliseconds=20)
LEASE: Final = UUID(int=2)
OPTIONS: Final = WorkerOptions(
    name="worker", slots=2, claim_size=10, grace_s=1, stop_timeout_s=0.05, result_bytes=1000
)
AWAY: Final = Unavailable(1, "the database")


def an_attempt(number: int = 1, **fields: Any) -> Attempt:  # noqa: ANN401 - the fields of a claimed task
    """The only attempt of task `number`."""
    task = replace(CLAIMED, id=UUID(int=number), **{"max_attempts": 1, **fields})
    fence = Fence(task_id=task.id, lease_id=LEASE, claim_no=task.claim_no)
    return Attempt(task=task, fence=fence, began_at=0.0)


def settled(number: int = 1, outcome: Outcome | None = None) -> Attempt:
    """An attempt whose handler has ended."""
    attempt = an_attempt(number)
    attempt.begin()
    attempt.settle(outcome or Succeeded(), at=1.0)
    return attempt


async def nothing(_: Context) -> None:
    """Handle a task by doing nothing."""


class WaitingHandler:
    """A handler that waits until it `may_end`, and records what happens to it."""

    def __init__(self, *, is_stubborn: bool = False) -> None:
        self.is_stubborn = is_stubborn
        self.may_end = asyncio.Event()
        self.began: list[int] = []
        self.cancels = 0

    async def __call__(self, context: Context) -> str:
        self.began.append(context.task.id.int)
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.cancels += 1
                if not self.is_stubborn:
                    raise
        return "done"


class EndsInMemory:
    """Stores ends; a test can block it, make it fail, lose its responses, or give tasks to another worker."""

    def __init__(self) -> None:
        self.ended: dict[UUID, EndedAttempt] = {}
        self.batches: list[list[int]] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.failures: list[BaseException] = []
        """Raised by the next writes, one each."""
        self.refuses: Callable[[AttemptEnd], Exception | None] = lambda _: None
        self.stolen: set[UUID] = set()
        self.lost_responses = 0

    async def end(self, ends: Sequence[AttemptEnd]) -> Mapping[UUID, EndedAttempt]:
        """End claims, all or none."""
        self.batches.append([end.fence.task_id.int for end in ends])
        await self.may_go.wait()
        if self.failures:
            raise self.failures.pop(0)
        for end in ends:
            if error := self.refuses(end):
                raise error
        new = {
            end.fence.task_id: EndedAttempt(
                status=end.transition.status,
                event_type=end.transition.event_type,
                reason=end.transition.reason,
                run_at=None,
            )
            for end in ends
            if end.fence.task_id not in self.stolen and end.fence.task_id not in self.ended
        }
        self.ended |= new
        if self.lost_responses:
            self.lost_responses -= 1
            raise AWAY
        return new

    async def find_ended(self, fences: Sequence[Fence]) -> Mapping[UUID, EndedAttempt]:
        """Return those that were ended."""
        return {f.task_id: self.ended[f.task_id] for f in fences if f.task_id in self.ended}

    def statuses(self) -> dict[int, str]:
        """How tasks ended, by number."""
        return {task_id.int: str(end.status) for task_id, end in sorted(self.ended.items())}


class LateReports(ProgressReports):
    """Progress reports that are stored when the test sets `stored`."""

    def __init__(self) -> None:
        super().__init__(no_database())
        self.of: set[UUID] = set()
        self.stored = asyncio.Event()

    def has_reports_of(self, fence: Fence) -> bool:
        """Whether the test has listed the task in `of`."""
        return fence.task_id in self.of

    async def settle(self, fence: Fence) -> None:
        """Wait for the test."""
        if self.has_reports_of(fence):
            await self.stored.wait()


def no_database() -> Database:
    """A database that cannot be reached."""
    return Database("postgresql://nowhere/none", DatabaseSettings())


def a_recorder(
    ends: ClaimEnds,
    *,
    progress: ProgressReports | None = None,
    clock: Clock | None = None,
    batch_size: int = OPTIONS.claim_size,
) -> Recorder:
    """A recorder that writes to `ends`."""
    return Recorder(
        ends,
        EndPolicy(AT_ONCE, random.Random(1)),  # noqa: S311 - no secret
        worker=OPTIONS.name,
        progress=progress or ProgressReports(no_database()),
        clock=clock or SystemClock(),
        batch_size=batch_size,
    )


@dataclass(frozen=True, kw_only=True)
class RunningPool:
    """A pool and its parts."""

    pool: AttemptPool
    ends: EndsInMemory
    wake: asyncio.Event

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run attempts; on leaving, all must be recorded within 10 s."""
        async with asyncio.timeout(10), self.pool.open():
            yield

    def start(self, number: int = 1, **fields: Any) -> Attempt:  # noqa: ANN401 - the fields of a claimed task
        """Start an attempt of task `number`."""
        attempt = an_attempt(number, **fields)
        self.pool.start(attempt)
        return attempt


def a_pool(
    handlers: Mapping[str, Handler],
    *,
    options: WorkerOptions = OPTIONS,
    ends: EndsInMemory | None = None,
) -> RunningPool:
    """A pool that is not open yet."""
    ends, wake, clock = ends or EndsInMemory(), asyncio.Event(), SystemClock()
    executor = Executor(
        Handlers(handlers),
        first_claims=FirstClaims(Contracts(no_database()), clock),
        task_log=TaskLog(no_database(), limits=TaskLogSettings(level="off"), clock=clock),
        progress=ProgressReports(no_database()),
        result_bytes=options.result_bytes,
    )
    pool = AttemptPool(executor, a_recorder(ends), options=options, clock=clock, wake=wake)
    return RunningPool(pool=pool, ends=ends, wake=wake)


async def settle_down(times: int = 20) -> None:
    """Run the event loop for some iterations, so that everything that is ready has run."""
    for _ in range(times):
        await asyncio.sleep(0)
