"""From the domain's view of the system to the shapes that the wire shows."""

from collections.abc import Mapping

import orjson

from taskmill.domain.lifecycle import Reason, Status
from taskmill.domain.system import QueueState, Stats, TaskEvent, WorkerState
from taskmill.wire.queues import QueueView
from taskmill.wire.system import EventView, StatsView, WorkerState as WireWorkerState, WorkerView
from taskmill.wire.tasks import TaskError


def event_view(event: TaskEvent) -> EventView:
    """Show one change of a task."""
    return EventView(
        task_id=event.task_id,
        version=event.version,
        at=event.at,
        event=event.happening,
        status=event.status,
        run=event.run,
        attempt=event.attempt,
        losses=event.losses,
        claim_no=event.claim_no,
        worker=event.worker,
        reason=None if event.reason is None else Reason(event.reason),
        error=None if event.error is None else TaskError(**orjson.loads(event.error)),
        run_at=event.run_at if event.status is Status.NEW else None,
    )


def queue_view(queue: QueueState) -> QueueView:
    """Show a queue."""
    return QueueView(
        name=queue.name,
        paused=queue.paused_at is not None,
        paused_at=queue.paused_at,
        created_at=queue.created_at,
        counts=_complete(queue.counts),
        oldest_due_at=queue.oldest_due_at,
    )


def worker_view(worker: WorkerState) -> WorkerView:
    """Show a worker."""
    return WorkerView(
        id=worker.id,
        name=worker.name,
        queues=worker.queues,
        types=worker.types,
        slots=worker.slots,
        running=worker.running,
        started_at=worker.started_at,
        renewed_at=worker.renewed_at,
        expires_at=worker.expires_at,
        state=WireWorkerState(worker.state.value),
    )


def stats_view(stats: Stats) -> StatsView:
    """Show the counts, with their sums."""
    by_queue = {name: _complete(counts) for name, counts in sorted(stats.queues.items())}
    by_status = {status: sum(counts[status] for counts in by_queue.values()) for status in Status}
    return StatsView(
        total=sum(by_status.values()),
        by_status=by_status,
        by_queue=by_queue,
        workers_alive=stats.workers_alive,
        slots=stats.slots,
        running=stats.running,
    )


def _complete(counts: Mapping[Status, int]) -> dict[Status, int]:
    return {status: counts.get(status, 0) for status in Status}
