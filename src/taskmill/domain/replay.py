"""Replays the history of one task and reports what contradicts the rules, or the task's row.

A history comes entry by entry, oldest first, so that a long one needs no memory. Each entry, even a wrong
one, is the base for the next: so a fault is one finding and not a trail of them.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from taskmill.domain.checks import Check, Finding
from taskmill.domain.history import (
    ALLOWED_PAIRS,
    ENDED,
    ORIGIN,
    SETS_DUE_TIME,
    STATUSES,
    STEPS,
    Costs,
    HistoryEntry,
    Step,
    TaskRow,
    costs_of,
    ignores_cancel,
)
from taskmill.domain.lifecycle import EventType, Status


class Replay:
    """Takes the entries of a task one by one and then compares them with its `row`; `findings` grows meanwhile."""

    __slots__ = (
        "_before",
        "_cancel_requested",
        "_claim",
        "_error",
        "_is_readable",
        "_row",
        "_started_at",
        "findings",
    )

    def __init__(self, row: TaskRow) -> None:
        self.findings: list[Finding] = []
        self._row = row
        self._before = ORIGIN
        self._claim: HistoryEntry | None = None
        self._started_at: datetime | None = None
        self._cancel_requested = False
        self._error: str | None = None
        self._is_readable = True

    def add(self, entry: HistoryEntry) -> None:
        """Take the next entry. After a gap, or an unknown entry, the rest can't be checked."""
        if not self._is_readable:
            return
        step = STEPS.get(entry.event_type)
        if entry.version != self._before.version + 1:
            self._stop(
                Check.VERSION_GAP,
                entry,
                f"version {self._before.version + 1}",
                f"version {entry.version}",
            )
        elif step is None or entry.status not in STATUSES:
            self._stop(Check.UNKNOWN_ENTRY, entry, "a known event", _event_text(entry))
        else:
            if self._check_transition(step, entry):
                self._compare_counts(step, entry)
                self._compare_fence(entry)
                self._compare_times(entry)
            self._apply(entry)

    def close(self) -> None:
        """Compare the row with its history, after the last entry."""
        if not self._is_readable:
            return
        if self._before.version != self._row.version:
            expected = f"versions 1 to {self._row.version}"
            self._found(Check.VERSION_GAP, None, expected, f"{self._before.version} of them")
            return
        self._compare_row()
        ended_at = self._before.at if self._before.status in ENDED else None
        if self._row.finished_at != ended_at:
            self._found(Check.FINISH_TIME, None, _shown(ended_at), _shown(self._row.finished_at))

    def _check_transition(self, step: Step, entry: HistoryEntry) -> bool:
        """Check that the entry may follow the one before; if it may not, its numbers mean nothing."""
        before = self._before
        check = self._wrong_transition(step, before, entry)
        if check is not None:
            expected = f"what may follow {before.status or 'nothing'}"
            self._found(check, entry, expected, _event_text(entry))
            return False
        if self._cancel_requested and ignores_cancel(entry):
            self._found(Check.CANCEL_IGNORED, entry, "cancelled", _event_text(entry))
        return True

    def _wrong_transition(
        self, step: Step, before: HistoryEntry, entry: HistoryEntry
    ) -> Check | None:
        if before.status in ENDED and entry.event_type != EventType.RUN_AGAIN:
            return Check.AFTER_THE_END
        if entry.event_type == EventType.CLAIMED and before.status == Status.IN_PROGRESS:
            return Check.CLAIMS_OVERLAP
        if entry.event_type == EventType.SUCCEEDED and self._claim is None:
            return Check.UNCLAIMED_SUCCESS
        fits = before.status in step.sources and entry.status == step.target
        if not fits or (before.status, entry.status) not in ALLOWED_PAIRS:
            return Check.FORBIDDEN_TRANSITION
        return None

    def _compare_counts(self, step: Step, entry: HistoryEntry) -> None:
        before = self._before
        is_again = entry.event_type == EventType.RUN_AGAIN
        run = before.run + is_again
        if entry.run != run:
            self._found(Check.RUN_MISCOUNTED, entry, f"run {run}", f"run {entry.run}")
        attempt, losses = (0, 0) if is_again else (before.attempt, before.losses)
        costs = costs_of(step, entry, ran=self._claim is not None)
        if (entry.attempt - attempt, entry.losses - losses) not in costs:
            self._report_costs(costs, entry, attempt, losses)
        if attempt < entry.attempt > self._row.max_attempts:
            expected = f"at most {self._row.max_attempts}"
            self._found(Check.TOO_MANY_ATTEMPTS, entry, expected, f"attempt {entry.attempt}")
        if losses < entry.losses > self._row.max_losses:
            expected = f"at most {self._row.max_losses}"
            self._found(Check.TOO_MANY_LOSSES, entry, expected, f"{entry.losses} losses")

    def _report_costs(self, costs: Costs, entry: HistoryEntry, attempt: int, losses: int) -> None:
        fitting = [losses + lost for spent, lost in costs if attempt + spent == entry.attempt]
        if fitting:
            expected, found = f"{_either(fitting)} losses", f"{entry.losses} losses"
            self._found(Check.LOSSES_MISCOUNTED, entry, expected, found)
        else:
            expected = f"attempt {_either(attempt + spent for spent, _ in costs)}"
            self._found(Check.ATTEMPTS_MISCOUNTED, entry, expected, f"attempt {entry.attempt}")

    def _compare_fence(self, entry: HistoryEntry) -> None:
        is_claim = entry.event_type == EventType.CLAIMED
        claim = self._claim
        if claim is not None and not is_claim:
            fence = (claim.lease_id, claim.claim_no)
            if (entry.lease_id, entry.claim_no) != fence:
                found = _fence(entry.lease_id, entry.claim_no)
                self._found(Check.FENCE_MISMATCH, entry, _fence(*fence), found)
            return
        claim_no = self._before.claim_no + is_claim
        if entry.claim_no != claim_no:
            self._found(Check.CLAIM_GAP, entry, f"claim {claim_no}", f"claim {entry.claim_no}")
        if (entry.lease_id is not None) != is_claim:
            expected = "a lease" if is_claim else "no lease"
            self._found(Check.FENCE_MISMATCH, entry, expected, f"lease {entry.lease_id}")

    def _compare_times(self, entry: HistoryEntry) -> None:
        self._compare_due_time(entry)
        if entry.event_type == EventType.CLAIMED:
            self._compare_moment(Check.CLAIMED_TOO_EARLY, entry, self._before.run_at)
        elif self._claim is not None and entry.status != Status.IN_PROGRESS:
            self._compare_moment(Check.CLOCK_SET_BACK, entry, self._claim.at)

    def _compare_due_time(self, entry: HistoryEntry) -> None:
        before = self._before
        if entry.event_type == EventType.RESCHEDULED and entry.run_at == before.run_at:
            return
        if entry.event_type in SETS_DUE_TIME:
            if entry.run_at >= entry.at:
                return
            expected = f"due at {_shown(entry.at)} or later"
        else:
            if entry.run_at == before.run_at or before is ORIGIN:
                return
            expected = f"due at {_shown(before.run_at)}"
        self._found(Check.DUE_TIME_CHANGED, entry, expected, f"due at {_shown(entry.run_at)}")

    def _compare_moment(self, check: Check, entry: HistoryEntry, earliest: datetime) -> None:
        if entry.at < earliest:
            expected = f"at {_shown(earliest)} or later"
            self._found(check, entry, expected, f"at {_shown(entry.at)}")

    def _apply(self, entry: HistoryEntry) -> None:
        """Apply the entry to the state that the next one is compared with."""
        event_type = entry.event_type
        if event_type == EventType.CLAIMED:
            self._claim, self._started_at = entry, entry.at
        elif event_type == EventType.CANCEL_REQUESTED:
            self._cancel_requested = True
        else:
            if event_type == EventType.RUN_AGAIN:
                self._started_at, self._cancel_requested, self._error = None, False, None
            elif event_type == EventType.SUCCEEDED:
                self._error = None
            elif event_type == EventType.CANCELLED and self._claim is None:
                self._cancel_requested = True
            self._claim = None
        self._error = entry.error or self._error
        self._before = entry

    def _compare_row(self) -> None:
        row, last = self._row, self._before
        expected = (
            ("status", last.status, row.status),
            ("run", last.run, row.run),
            ("attempt", last.attempt, row.attempt),
            ("losses", last.losses, row.losses),
            ("claim_no", last.claim_no, row.claim_no),
            ("run_at", last.run_at, row.run_at),
            ("lease_id", self._claim.lease_id if self._claim else None, row.lease_id),
            ("cancel_requested", self._cancel_requested, row.cancel_requested),
            ("started_at", self._started_at, row.started_at),
            ("updated_at", last.at, row.updated_at),
            ("error", self._error, row.error),
        )
        wrong = [fact for fact in expected if fact[1] != fact[2]]
        if wrong:
            self._found(
                Check.ROW_DRIFT,
                None,
                ", ".join(f"{name} {_shown(value)}" for name, value, _ in wrong),
                ", ".join(f"{name} {_shown(value)}" for name, _, value in wrong),
            )

    def _stop(self, check: Check, entry: HistoryEntry, expected: str, found: str) -> None:
        self._is_readable = False
        self._found(check, entry, expected, found)

    def _found(self, check: Check, entry: HistoryEntry | None, expected: str, found: str) -> None:
        self.findings.append(
            Finding(
                check=check,
                task_id=self._row.id,
                version=entry.version if entry else None,
                expected=expected,
                found=found,
            )
        )


def _event_text(entry: HistoryEntry) -> str:
    return f"{entry.event_type}, {entry.status}"


def _fence(lease_id: UUID | None, claim_no: int) -> str:
    return f"lease {lease_id}, claim {claim_no}"


def _either(numbers: Iterable[int]) -> str:
    return " or ".join(str(number) for number in dict.fromkeys(numbers))


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return "none" if value is None else str(value)
