"""What is read of a service for one picture of it, and how it is kept.

Every look costs the service the same whatever the number of tasks: three requests that are bounded by the number
of queues and workers. Failures come by the feed, which carries no payloads.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.domain.lifecycle import Status
from taskmill.wire.activity import ActivityView
from taskmill.wire.feed import ChangeView
from taskmill.wire.queues import QueueView
from taskmill.wire.system import StatsView, WorkerView
from taskmill.wire.tasks import TaskView

__all__ = [
    "Failure",
    "Failures",
    "Snapshot",
    "as_json",
    "read",
]

_LISTED = 20
_LONGEST_MESSAGE = 20_000
_KEPT_FAILURES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A task that failed for good."""

    task_id: str
    version: int
    at: datetime
    queue: str
    type: str
    name: str
    attempt: int
    error_type: str
    message: str
    worker: str | None = None

    @property
    def key(self) -> str:
        """What tells it from others; a task that is run again may fail again."""
        return f"{self.task_id} {self.version}"

    @property
    def text(self) -> str:
        """What a filter looks into."""
        return f"{self.queue} {self.type} {self.name} {self.error_type} {self.message}"


class Failures:
    """The newest failures, each once, whichever way they were heard of.

    The feed tells of each, from when it stands, which nobody is told. So they are listed, too, whenever their
    number has changed, until that has been done once after the feed had told of one.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Failure] = {}
        self._number = 0
        self._hears = self._hears_all = False

    def begin_anew(self) -> None:
        """Take note that the feed begins with the present."""
        self._hears = self._hears_all = False

    def hear(self, change: ChangeView) -> None:
        """Take in what the feed tells."""
        self._hears = True
        self.add([_failure_of_change(change)])

    async def catch_up(self, client: AsyncTaskmillClient, number: int) -> None:
        """List those of the tasks that were created last, if need be; so many have failed.

        Raises:
            ClientError: They could not be listed.
        """
        if self._hears_all or number == self._number:
            return
        hears = self._hears
        page = await client.page(status=Status.FAILED, limit=_LISTED)
        self.add(_failure_of_task(task) for task in page.items)
        self._number, self._hears_all = number, hears

    def add(self, failures: Iterable[Failure]) -> None:
        """Take some in, and forget the oldest beyond the limit."""
        for one in failures:
            self._kept.setdefault(one.key, one)
        if len(self._kept) > _KEPT_FAILURES:
            self._kept = {one.key: one for one in self.newest()[:_KEPT_FAILURES]}

    def newest(self) -> list[Failure]:
        """Return them, newest first."""
        return sorted(self._kept.values(), key=lambda one: (one.at, one.task_id), reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The system at one moment of the service's clock; `of_queue` is what happened in the queue that is open."""

    stats: StatsView
    activity: ActivityView
    queues: Sequence[QueueView]
    workers: Sequence[WorkerView]
    failures: Sequence[Failure]
    of_queue: ActivityView | None = None

    @property
    def at(self) -> datetime:
        """When it was."""
        return self.activity.until

    def seconds_since(self, moment: datetime) -> float:
        """Tell how long ago a moment was, 0 for what is not yet."""
        return max((self.at - moment) / timedelta(seconds=1), 0.0)


async def read(
    client: AsyncTaskmillClient, failures: Failures, window: str, queue: str | None = None
) -> Snapshot:
    """Look at the service once. Raises a `ClientError`."""
    stats = await client.stats(window=window)
    of_queue = (await client.stats(window=window, queue=queue)).activity if queue else None
    activity = stats.activity
    assert activity is not None  # noqa: S101 - a window was asked for
    queues, workers = await client.queues(), await client.workers()
    await failures.catch_up(client, stats.by_status[Status.FAILED])
    return Snapshot(
        stats=stats,
        activity=activity,
        queues=queues,
        workers=workers,
        failures=failures.newest(),
        of_queue=of_queue,
    )


def _failure_of_change(change: ChangeView) -> Failure:
    """Return what the feed tells of a failure."""
    error = change.error
    return Failure(
        task_id=str(change.task_id),
        version=change.version,
        at=change.at,
        queue=change.queue,
        type=change.type,
        name=change.name,
        attempt=change.attempt,
        error_type=error.type if error else str(change.reason or change.event),
        message=error.message[:_LONGEST_MESSAGE] if error else "",
        worker=change.worker,
    )


def _failure_of_task(task: TaskView) -> Failure:
    error = task.error
    return Failure(
        task_id=str(task.id),
        version=task.version,
        at=task.finished_at or task.updated_at,
        queue=task.queue,
        type=task.type,
        name=task.name,
        attempt=task.attempt,
        error_type=error.type if error else "",
        message=error.message[:_LONGEST_MESSAGE] if error else "",
    )


def as_json(
    url: str, snapshot: Snapshot, notices: Sequence[Mapping[str, str]]
) -> dict[str, object]:
    """Return a snapshot for programs."""
    return {
        "url": url,
        "at": snapshot.at.isoformat(),
        "notices": notices,
        "stats": snapshot.stats.model_dump(mode="json"),
        "queues": [queue.model_dump(mode="json") for queue in snapshot.queues],
        "workers": [worker.model_dump(mode="json") for worker in snapshot.workers],
        "failures": [_failure_fields(failure) for failure in snapshot.failures],
    }


def _failure_fields(failure: Failure) -> dict[str, object]:
    return {
        "task_id": failure.task_id,
        "at": failure.at.isoformat(),
        "queue": failure.queue,
        "type": failure.type,
        "name": failure.name,
        "attempt": failure.attempt,
        "error": {"type": failure.error_type, "message": failure.message},
    }
