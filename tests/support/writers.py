"""Everything that writes to tasks, leases and queues, each as one step on a session that the caller chooses."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from taskmill.domain.errors import TaskNotFound, TransitionRefused
from taskmill.domain.lifecycle import (
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Permanent,
    Succeeded,
    decide,
)
from taskmill.domain.remote import LeaseRequest
from taskmill.domain.system import Sweep
from taskmill.domain.webhooks import WebhookDraft
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.time_out import TimeOut
from taskmill.operations import storing
from taskmill.operations.cancel import cancel_task
from taskmill.operations.pull_ends import decided
from taskmill.operations.retry import retry_task
from taskmill.storage import (
    claims,
    counts,
    cursor_leases,
    leases,
    minutes,
    progress,
    pruned_tasks,
    queues,
    remote_leases,
    task_log,
    tasks,
    webhook_deliveries,
    webhooks,
)
from taskmill.storage.cancels import cancel_within
from taskmill.storage.claims import Bucket, BucketStart, TakenTask
from taskmill.storage.cursor_leases import CursorLease
from taskmill.storage.database import Database
from taskmill.storage.progress import Report
from taskmill.storage.pruned_tasks import PrunableTasks
from taskmill.storage.task_log import NewSentLine
from taskmill.storage.weeks import Week
from tests.support.builders import AT_ONCE, ERROR, a_draft, a_fence, a_key, an_end
from tests.support.jobs import change_as_a_job
from tests.support.log_lines import a_line
from tests.support.polling import eventually
from tests.support.stage import Stage, a_creation

TYPE = "emulate"
PRIORITY = 4


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A queue with a task in every state that a writer can find.

    `adrift` runs under a lease that ran out, `stranded` under one that was closed; `overdue` was not started
    by its `expires_at`. `held` is the lease of a worker that pulls over HTTP.
    """

    stage: Stage
    queue: str
    held: UUID
    expired: UUID
    closed: UUID
    waiting: UUID
    overdue: UUID
    finished: UUID
    running: TakenTask
    adrift: TakenTask
    stranded: TakenTask

    @property
    def ids(self) -> list[UUID]:
        """All of its tasks."""
        taken = (self.running, self.adrift, self.stranded)
        return [self.waiting, self.overdue, self.finished, *(one.task.id for one in taken)]


async def a_scene(stage: Stage, queue: str) -> Scene:
    """Set the scene on a queue of its own."""
    held, expired, closed = [await stage.open_lease() for _ in range(3)]
    drafts = [a_draft(queue=queue, max_attempts=3, retry=AT_ONCE) for _ in range(5)]
    late = a_draft(queue=queue, expires_at=stage.clock.now() - timedelta(seconds=1))
    made = [one.task.id for one in await stage.creation.create_all([*drafts, late])]
    waiting, finished, running, adrift, stranded, overdue = made
    taken = {
        task_id: await _claimed(stage, queue, lease_id, task_id)
        for task_id, lease_id in [
            (finished, held),
            (running, held),
            (adrift, expired),
            (stranded, closed),
        ]
    }
    end = an_end(taken[finished], held, Permanent(error=ERROR))
    await claims.end(stage.database, [end], worker="w")
    await _make_prunable(stage, queue, finished)
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now() WHERE id = $1", expired)
    await stage.sql.execute(
        "UPDATE taskmill.lease SET remote = true, task_ids = $2, timeout_at = now() WHERE id = $1",
        held,
        [finished, running],
    )
    await leases.close_lease(stage.database, closed, "stopped")
    return Scene(
        stage=stage,
        queue=queue,
        held=held,
        expired=expired,
        closed=closed,
        waiting=waiting,
        overdue=overdue,
        finished=finished,
        running=taken[running],
        adrift=taken[adrift],
        stranded=taken[stranded],
    )


async def _make_prunable(stage: Stage, queue: str, task_id: UUID) -> None:
    """Let a task have ended longer ago than its queue keeps it."""
    async with stage.sql.transaction():
        await stage.sql.execute(
            "UPDATE taskmill.queue SET keep = interval '1 hour' WHERE name = $1", queue
        )
        await stage.sql.execute("SET LOCAL session_replication_role = replica")
        await stage.sql.execute(
            "UPDATE taskmill.task SET finished_at = finished_at - interval '2 hours' WHERE id = $1",
            task_id,
        )


Writer: TypeAlias = Callable[[Database, Scene], Awaitable[object]]


async def _claim(database: Database, scene: Scene) -> None:
    bucket = Bucket(queue=scene.queue, type=TYPE, priority=PRIORITY)
    await claims.take(
        database, lease_id=scene.held, worker="w", buckets=[(bucket, BucketStart())], limit=10
    )


async def _claimed(stage: Stage, queue: str, lease_id: UUID, task_id: UUID) -> TakenTask:
    """Claim a task that is due now, or will be in a moment by PostgreSQL's clock."""

    async def probe() -> list[TakenTask]:
        run_at = (await stage.task(task_id)).run_at
        bucket = Bucket(queue=queue, type=TYPE, priority=PRIORITY)
        start = BucketStart(run_at=run_at, task_id=task_id)
        return await claims.take(
            stage.database, lease_id=lease_id, worker="w", buckets=[(bucket, start)], limit=1
        )

    [taken] = await eventually(probe, "a task that is due at once")
    return taken


def _ending(outcome: Outcome) -> Writer:
    """End what runs, with the ids in the worst order."""

    async def write(database: Database, scene: Scene) -> None:
        ends = [
            an_end(scene.adrift, scene.expired, outcome),
            an_end(scene.running, scene.held, outcome),
        ]
        await claims.end(database, ends, worker="w")

    return write


def _cancelling(choose: Callable[[Scene], UUID]) -> Writer:
    async def write(database: Database, scene: Scene) -> None:
        with suppress(TransitionRefused):
            await cancel_task(database, choose(scene))

    return write


async def _cancel_and_create(database: Database, scene: Scene) -> None:
    """Cancel tasks that wait and that run, and create others, as schedules do that cancel what runs."""
    creation = a_creation(database, scene.stage.clock, scene.stage.ids)
    tasks = [scene.adrift.task.id, scene.running.task.id, scene.waiting]
    async with database.hot() as connection, connection.transaction():
        await cancel_within(connection, tasks)
        await storing.store(connection, creation.with_ids([a_draft(queue=scene.queue)]))


async def _take_back(database: Database, _: Scene) -> None:
    """Do rescue's second step; its first is `close_leases`."""
    stranded = await claims.find_stranded(database, 100)
    await leases.record_lost(database, [found.fence for found in stranded])
    ends = [
        claims.AttemptEnd(
            fence=found.fence,
            transition=decide(Lost(), found.claim, cancel_requested=False, jitter=0),
            if_cancel_requested=decide(Lost(), found.claim, cancel_requested=True, jitter=0),
        )
        for found in stranded
    ]
    await claims.end(database, ends, worker="rescue")


async def _retry(database: Database, scene: Scene) -> None:
    with suppress(TransitionRefused, TaskNotFound):
        await retry_task(database, scene.finished)


async def _reschedule(database: Database, scene: Scene) -> None:
    """Move a waiting task to another queue; both sides of a pair to the same one."""
    task = await tasks.get_one(database, scene.waiting)
    arguments = (task.id, task.version, f"{scene.queue}-moved", 9, task.run_at)
    await database.fetch("reschedule_task", *arguments)


async def _renew(database: Database, scene: Scene) -> None:
    for lease_id in (scene.held, scene.expired):
        async with database.hot() as connection:
            await leases.renew_lease(connection, lease_id, ttl_s=60, running=1)


async def _log(database: Database, scene: Scene) -> None:
    """Store lines of what runs; both sides of a pair bring the same ones."""
    taken = (scene.stranded, scene.running, scene.adrift)
    await task_log.store(database, [a_line(one, scene.stage) for one in taken])


async def _log_remote(database: Database, scene: Scene) -> None:
    """Store a line of what runs under a remote lease; both sides of a pair bring the same one."""
    fence = a_fence(scene.running, scene.held)
    line = NewSentLine(seq=1, level=20, message="x", fields=None)
    await task_log.add(database, fence, [line], most_lines=10, most_bytes=1000)


async def _pull(database: Database, scene: Scene) -> None:
    bucket = Bucket(queue=scene.queue, type=TYPE, priority=PRIORITY)
    wanted = LeaseRequest(
        worker="w",
        queues=frozenset({scene.queue}),
        types=frozenset({TYPE}),
        limit=10,
        ttl_s=60,
        wait_s=0,
    )
    await remote_leases.claim(database, scene.stage.ids(), wanted, [bucket])


async def _renew_remote(database: Database, scene: Scene) -> None:
    await remote_leases.renew(database, {scene.held: 60.0, scene.expired: None})


async def _end_remote(database: Database, scene: Scene) -> None:
    """End what runs under a remote lease, as a finish does, and close the lease."""
    found = await remote_leases.find_of_lease(database, scene.held)
    ends = [decided(claim, Succeeded(), AT_ONCE, jitter=0) for claim in found]
    await claims.end(database, ends, worker=None)
    await remote_leases.settle(database, [scene.held], "finished")


async def _report(database: Database, scene: Scene) -> None:
    """Report the progress of what runs; both sides of a pair report the same, in the worst order."""
    pairs = ((scene.adrift, scene.expired), (scene.running, scene.held))
    reports = [Report(fence=a_fence(taken, lease), share=0.5) for taken, lease in pairs]
    await progress.store(database, reports)


async def _create(database: Database, scene: Scene) -> None:
    """Create tasks; both sides of a pair bring the same key."""
    creation = a_creation(database, scene.stage.clock, scene.stage.ids)
    drafts = [a_draft(queue=scene.queue, idempotency=a_key(f"{scene.queue} {n}")) for n in (2, 1)]
    results = await creation.store_each(creation.with_ids(drafts))
    if failed := [result for result in results if isinstance(result, Exception)]:
        raise failed[0]


async def _create_in_sql(database: Database, scene: Scene) -> None:
    """Create a task over SQL; both sides of a pair bring the same key, type and queue, which are all new.

    So they take all its locks, in its order: key, type, queue.
    """
    call = "SELECT taskmill.create_task('a task', type => $1, queue => $1, idempotency_key => $1)"
    async with database.hot() as connection:
        await connection.execute(call, f"{scene.queue}-new")


async def _subscribe(database: Database, scene: Scene) -> None:
    draft = WebhookDraft(url="http://a/")
    await webhooks.create(database, scene.stage.ids(), draft, secret="x", limit=10**6)  # noqa: S106


async def _skip_changes(database: Database, scene: Scene) -> None:
    """Skip changes; both sides of a pair are of the same process."""
    cursor_lease = CursorLease(webhook_deliveries.DESTINATION, scene.held, 60.0)
    await cursor_leases.take(database, cursor_lease)
    await webhook_deliveries.skip_changes(database, cursor_lease)


async def _count_week(database: Database, scene: Scene) -> None:
    week = Week.of(scene.stage.clock.now())
    await counts.count_week(database, week.monday, week.bounds)


async def _prune_tasks(database: Database, scene: Scene) -> None:
    now = scene.stage.clock.now()
    for status in ("failed", "cancelled", "succeeded"):
        ended = PrunableTasks(
            week=Week.of(now),
            queue=scene.queue,
            status=status,
            ended_before=now + timedelta(hours=1),
        )
        await pruned_tasks.prune(database, ended, ended.bounds[0], 100)


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "create": _create,
        "create_in_sql": _create_in_sql,
        "claim": _claim,
        "succeed": _ending(Succeeded()),
        "fail": _ending(Failed(error=ERROR)),
        "hand_back": _ending(Interrupted()),
        "cancel_waiting": _cancelling(lambda scene: scene.waiting),
        "cancel_running": _cancelling(lambda scene: scene.running.task.id),
        "cancel_adrift": _cancelling(lambda scene: scene.adrift.task.id),
        "cancel_and_create": _cancel_and_create,
        "cancel_job": lambda database, s: change_as_a_job(
            database, s.stage.ids(), Sweep.CANCEL, s.ids
        ),
        "retry_job": lambda database, s: change_as_a_job(
            database, s.stage.ids(), Sweep.RETRY, s.ids
        ),
        "close_leases": lambda database, _: leases.close_expired(database),
        "take_back": _take_back,
        "retry": _retry,
        "reschedule": _reschedule,
        "renew": _renew,
        "close_lease": lambda database, s: leases.close_lease(database, s.held, "stopped"),
        "pause": lambda database, s: database.fetch("set_queue_pause", s.queue, True),  # noqa: FBT003
        "remove_queue": lambda database, s: queues.remove(database, s.queue, with_keep=True),
        "prune_tasks": _prune_tasks,
        "prune_queues": lambda database, _: queues.prune(database, idle_s=0.0),
        "expire": lambda database, _: expire_waiting(database),
        "log": _log,
        "log_remote": _log_remote,
        "pull": _pull,
        "renew_remote": _renew_remote,
        "end_remote": _end_remote,
        "add_tombstone": lambda database, s: remote_leases.add_tombstone(database, s.held),
        "time_out": lambda database, _: TimeOut(database, policy=AT_ONCE, name="rescue")(),
        "report": _report,
        "count_week": _count_week,
        "fold": lambda database, _: counts.fold(database),
        "subscribe": _subscribe,
        "skip_changes": _skip_changes,
        "roll_up": lambda database, _: minutes.roll_up(database),
    }
)
