"""Histories as the program writes them, to be replayed as they are or with one fact changed."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from taskmill.domain.checks import Check, Finding
from taskmill.domain.history import STEPS, HistoryEntry, TaskRow
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.replay import Replay
from taskmill.domain.system import TaskEvent

TASK = UUID(int=1)
LEASE = UUID(int=2)
BEGIN = datetime(2026, 11, 25, tzinfo=UTC)
SECOND = timedelta(seconds=1)
_BACK = {EventType.RETRY_SCHEDULED, EventType.HANDED_BACK, EventType.LOST}


class History:
    """Grows by a second and an entry with each call; `row` is the resulting row."""

    def __init__(self, *, max_attempts: int = 3, max_losses: int = 2) -> None:
        self.entries: list[HistoryEntry] = []
        self.row = TaskRow(
            id=TASK,
            version=0,
            status="",
            run=1,
            attempt=0,
            max_attempts=max_attempts,
            losses=0,
            max_losses=max_losses,
            claim_no=0,
            run_at=BEGIN,
            lease_id=None,
            cancel_requested=False,
            started_at=None,
            finished_at=None,
            updated_at=BEGIN,
            error=None,
        )
        self(EventType.CREATED)

    def __call__(
        self,
        event_type: EventType,
        *,
        cost: tuple[int, int] | None = None,
        reason: str | None = None,
        error: str | None = None,
    ) -> "History":
        """Add an event; `cost` is what it adds to attempt and losses, if not the default."""
        row, step = self.row, STEPS[event_type]
        at = row.updated_at + SECOND
        spent, lost = cost or step.costs[0]
        is_claim, is_again = event_type is EventType.CLAIMED, event_type is EventType.RUN_AGAIN
        carried = LEASE if is_claim else row.lease_id
        self.row = row._replace(
            version=row.version + 1,
            status=step.target,
            run=row.run + is_again,
            attempt=0 if is_again else row.attempt + spent,
            losses=0 if is_again else row.losses + lost,
            claim_no=row.claim_no + is_claim,
            run_at=at if is_again or event_type in _BACK else row.run_at,
            lease_id=carried if step.target == "in_progress" else None,
            cancel_requested=self._is_cancelled(event_type),
            started_at=at if is_claim else None if is_again else row.started_at,
            finished_at=at if step.target in {"succeeded", "failed", "cancelled"} else None,
            updated_at=at,
            error=None if is_again or event_type is EventType.SUCCEEDED else error or row.error,
        )
        self._record(event_type, carried, reason, error)
        return self

    def _is_cancelled(self, event_type: EventType) -> bool:
        if event_type is EventType.CANCELLED:
            return self.row.cancel_requested or self.row.lease_id is None
        if event_type is EventType.CANCEL_REQUESTED:
            return True
        return self.row.cancel_requested and event_type is not EventType.RUN_AGAIN

    def _record(
        self, event_type: EventType, lease_id: UUID | None, reason: str | None, error: str | None
    ) -> None:
        row = self.row
        self.entries.append(
            HistoryEntry(
                task_id=TASK,
                version=row.version,
                at=row.updated_at,
                event_type=event_type,
                status=row.status,
                run=row.run,
                attempt=row.attempt,
                losses=row.losses,
                claim_no=row.claim_no,
                run_at=row.run_at,
                lease_id=lease_id,
                reason=reason,
                error=error,
            )
        )

    def change(self, version: int, /, **facts: object) -> "History":
        """Change an entry; later entries and the row stay as they are."""
        self.entries[version - 1] = self.entries[version - 1]._replace(**facts)  # type: ignore[arg-type]  # names are the fields
        return self

    def change_row(self, **facts: object) -> "History":
        """Change the row."""
        self.row = self.row._replace(**facts)  # type: ignore[arg-type]  # names are the fields
        return self

    def findings(self) -> list[Finding]:
        """What a replay finds."""
        replay = Replay(self.row)
        for entry in self.entries:
            replay.add(entry)
        replay.close()
        return replay.findings

    def replay(self) -> list[tuple[Check, int | None]]:
        """What a replay finds, and at which version."""
        return [(finding.check, finding.version) for finding in self.findings()]


def a_success() -> History:
    """A task that was created, claimed and done."""
    return History()(EventType.CLAIMED)(EventType.SUCCEEDED)


def an_event(**parts: Any) -> TaskEvent:  # noqa: ANN401 - the fields of an event
    """The creation of a task, unless `parts` say otherwise."""
    given: dict[str, Any] = {
        "task_id": TASK,
        "version": 1,
        "at": BEGIN,
        "event_type": EventType.CREATED,
        "status": Status.NEW,
        "run": 1,
        "attempt": 0,
        "losses": 0,
        "claim_no": 0,
        "run_at": BEGIN,
        "worker": None,
        "reason": None,
        "error": None,
    }
    return TaskEvent(**{**given, **parts})
