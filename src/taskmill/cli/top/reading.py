"""Reads what one picture of the service needs.

Each snapshot takes four requests, whose cost depends on the numbers of queues and workers, not of tasks.
Failures come by the feed, which carries no payloads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.client.views.activity import ActivityView
from taskmill.client.views.attention import AttentionView
from taskmill.client.views.feed import ChangeView
from taskmill.client.views.queues import QueueView
from taskmill.client.views.system import StatsView, WorkerView
from taskmill.client.views.tasks import TaskView
from taskmill.domain.error_kinds import kind_of
from taskmill.domain.lifecycle import ErrorInfo, Status

_LISTED = 20
_LONGEST_MESSAGE = 20_000
_MOST_FAILURES = 200


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
    place: str | None = None
    fingerprint: str | None = None

    @property
    def key(self) -> str:
        """What identifies it; a task that is run again may fail again."""
        return f"{self.task_id} {self.version}"

    @property
    def kind(self) -> str:
        """What it has in common with failures of the same cause."""
        error = ErrorInfo(
            type=self.error_type,
            message=self.message,
            place=self.place,
            fingerprint=self.fingerprint,
        )
        return kind_of(error)

    @property
    def text(self) -> str:
        """What a filter searches."""
        return f"{self.queue} {self.type} {self.name} {self.kind} {self.message}"


class Failures:
    """The newest failures, each once, from the feed and from lists.

    The feed has each failure from the moment it is connected, but does not say when that is. So failures are
    listed, too, whenever their number has changed, until that was done once after the feed's first failure.
    """

    def __init__(self) -> None:
        self._by_key: dict[str, Failure] = {}
        self._number = 0
        self._has_feed = self._is_complete = False

    def restart_feed(self) -> None:
        """Note that the feed begins again, with the present."""
        self._has_feed = self._is_complete = False

    def add_change(self, change: ChangeView) -> None:
        """Add a failure from the feed."""
        self._has_feed = True
        self.add([_failure_of_change(change)])

    async def catch_up(self, client: AsyncTaskmillClient, number: int) -> None:
        """List failures of the newest tasks, unless all of the `number` are known.

        Raises:
            ClientError: They could not be listed.
        """
        if self._is_complete or number == self._number:
            return
        has_feed = self._has_feed
        page = await client.page(status=Status.FAILED, limit=_LISTED)
        self.add(_failure_of_task(task) for task in page.items)
        self._number, self._is_complete = number, has_feed

    def add(self, failures: Iterable[Failure]) -> None:
        """Add some, and drop the oldest ones above the limit."""
        for one in failures:
            self._by_key.setdefault(one.key, one)
        if len(self._by_key) > _MOST_FAILURES:
            self._by_key = {one.key: one for one in self.newest()[:_MOST_FAILURES]}

    def newest(self) -> list[Failure]:
        """Return them, newest first."""
        return sorted(self._by_key.values(), key=lambda one: (one.at, one.task_id), reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The system at one moment of the service's clock; `of_queue` is the activity of the opened queue."""

    stats: StatsView
    activity: ActivityView
    queues: Sequence[QueueView]
    workers: Sequence[WorkerView]
    failures: Sequence[Failure]
    attention: AttentionView
    of_queue: ActivityView | None = None

    @property
    def at(self) -> datetime:
        """When it was."""
        return self.activity.until

    def seconds_since(self, moment: datetime) -> float:
        """Return how long ago a moment was, 0 for the future."""
        return max((self.at - moment) / timedelta(seconds=1), 0.0)


async def read(
    client: AsyncTaskmillClient, failures: Failures, window: str, queue: str | None = None
) -> Snapshot:
    """Take a snapshot of the service. Raises a `ClientError`."""
    stats = await client.stats(window=window)
    of_queue = (await client.stats(window=window, queue=queue)).activity if queue else None
    activity = stats.activity
    assert activity is not None  # noqa: S101 - a window was requested
    queues, workers = await client.queues(), await client.workers()
    attention = await client.attention()
    await failures.catch_up(client, stats.by_status[Status.FAILED])
    return Snapshot(
        stats=stats,
        activity=activity,
        queues=queues,
        workers=workers,
        failures=failures.newest(),
        attention=attention,
        of_queue=of_queue,
    )


def _failure_of_change(change: ChangeView) -> Failure:
    """Return the failure in a change of the feed."""
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
        place=error.place if error else None,
        fingerprint=error.fingerprint if error else None,
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
        place=error.place if error else None,
        fingerprint=error.fingerprint if error else None,
    )


def as_json(url: str, snapshot: Snapshot) -> dict[str, object]:
    """Return a snapshot for programs."""
    return {
        "url": url,
        "at": snapshot.at.isoformat(),
        "verdict": snapshot.attention.verdict,
        "notices": [one.to_json() for one in snapshot.attention.items],
        "stats": snapshot.stats.to_json(),
        "queues": [queue.to_json() for queue in snapshot.queues],
        "workers": [worker.to_json() for worker in snapshot.workers],
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
        "kind": failure.kind,
        "error": {"type": failure.error_type, "message": failure.message},
    }
