"""Assembles a worker: its pool, its executor, its recorder."""

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING
from uuid import UUID

from taskmill.operations.first_claims import FirstClaims
from taskmill.operations.progress import ProgressReports
from taskmill.runtime.clock import Clock
from taskmill.settings import TaskLogSettings
from taskmill.storage.database import Database
from taskmill.transports.base import Transport
from taskmill.worker.ends import EndPolicy, StoredEnds
from taskmill.worker.exclusive import ExclusiveGuard
from taskmill.worker.executor import Executor
from taskmill.worker.handlers import Handlers
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.loop import Worker
from taskmill.worker.options import WorkerOptions
from taskmill.worker.pool import AttemptPool
from taskmill.worker.process_end import ProcessEnd
from taskmill.worker.reconciler import Reconciler
from taskmill.worker.recorder import Recorder
from taskmill.worker.task_log import TaskLog

if TYPE_CHECKING:
    from taskmill.worker.attempt_spans import AttemptSpans


def make_worker(
    database: Database,
    options: WorkerOptions,
    *,
    transport: Transport,
    keeper: LeaseKeeper,
    handlers: Handlers,
    policy: EndPolicy,
    first_claims: FirstClaims,
    lines: TaskLogSettings,
    clock: Clock,
    process_end: ProcessEnd,
    spans: "AttemptSpans | None" = None,
    unwritten: Callable[[Collection[UUID]], None] = lambda _: None,
) -> Worker:
    """Return a worker that claims through `transport`, and runs tasks under the lease of `keeper`."""
    name, wake = options.name, asyncio.Event()
    progress = ProgressReports(database)
    executor = Executor(
        handlers,
        first_claims=first_claims,
        task_log=TaskLog(database, limits=lines, clock=clock),
        progress=progress,
        result_bytes=options.result_bytes,
        spans=spans,
    )
    recorder = Recorder(
        StoredEnds(database, name),
        policy,
        worker=name,
        progress=progress,
        clock=clock,
        batch_size=options.claim_size,
    )
    pool = AttemptPool(executor, recorder, options=options, clock=clock, wake=wake)
    return Worker(
        options,
        transport=transport,
        keeper=keeper,
        pool=pool,
        reconciler=Reconciler(database, worker=name, keeper=keeper, pool=pool, clock=clock),
        guard=ExclusiveGuard(handlers, worker=name, keeper=keeper, pool=pool),
        process_end=process_end,
        clock=clock,
        wake=wake,
        unwritten=unwritten,
    )
