"""Each fault of a history or of a row: the check that finds it, once, and what it says."""

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest

from taskmill.domain.checks import Check
from taskmill.domain.lifecycle import EventType, Reason
from tests.support.every import every
from tests.support.histories import BEGIN, SECOND, TASK, History, a_success

H = EventType
OTHER_LEASE = UUID(int=9)
AN_HOUR_EARLIER = BEGIN - timedelta(hours=1)
# What is wrong, the check that finds it, at which version, and its words: what was expected, and what was found.
WRONG: list[tuple[Callable[[], History], Check, int | None, str]] = [
    (
        lambda: a_success().change_row(version=4),
        Check.VERSION_GAP,
        None,
        "versions 1 to 4 | 3 of them",
    ),
    (
        lambda: a_success().change_row(version=2),
        Check.VERSION_GAP,
        None,
        "versions 1 to 2 | 3 of them",
    ),
    (lambda: a_success().change(2, version=7), Check.VERSION_GAP, 7, "version 2 | version 7"),
    (lambda: a_success().change(1, version=2), Check.VERSION_GAP, 2, "version 1 | version 2"),
    (
        lambda: a_success().change(2, event_type="sneezed"),
        Check.UNKNOWN_ENTRY,
        2,
        "a known event | sneezed, in_progress",
    ),
    (
        lambda: a_success().change(2, status="sneezing"),
        Check.UNKNOWN_ENTRY,
        2,
        "a known event | claimed, sneezing",
    ),
    (
        lambda: History().change(1, event_type=H.RUN_AGAIN),
        Check.FORBIDDEN_TRANSITION,
        1,
        "what may follow nothing | run_again, new",
    ),
    (
        lambda: History()(H.FAILED),
        Check.FORBIDDEN_TRANSITION,
        2,
        "what may follow new | failed, failed",
    ),
    (
        lambda: History()(H.CLAIMED)(H.EXPIRED),
        Check.FORBIDDEN_TRANSITION,
        3,
        "what may follow in_progress | expired, failed",
    ),
    (
        lambda: History()(H.CREATED),
        Check.FORBIDDEN_TRANSITION,
        2,
        "what may follow new | created, new",
    ),
    (
        lambda: a_success()(H.CANCELLED),
        Check.AFTER_THE_END,
        4,
        "what may follow succeeded | cancelled, cancelled",
    ),
    (
        lambda: a_success()(H.CLAIMED),
        Check.AFTER_THE_END,
        4,
        "what may follow succeeded | claimed, in_progress",
    ),
    (
        lambda: History()(H.CANCELLED)(H.CLAIMED)(H.SUCCEEDED),
        Check.AFTER_THE_END,
        3,
        "what may follow cancelled | claimed, in_progress",
    ),
    (
        lambda: History()(H.CLAIMED)(H.CLAIMED),
        Check.CLAIMS_OVERLAP,
        3,
        "what may follow in_progress | claimed, in_progress",
    ),
    (
        lambda: History()(H.SUCCEEDED),
        Check.UNCLAIMED_SUCCESS,
        2,
        "what may follow new | succeeded, succeeded",
    ),
    (
        lambda: a_success()(H.RUN_AGAIN)(H.SUCCEEDED),
        Check.UNCLAIMED_SUCCESS,
        5,
        "what may follow new | succeeded, succeeded",
    ),
    (
        lambda: a_success().change(2, run=2).change(3, run=2).change_row(run=2),
        Check.RUN_MISCOUNTED,
        2,
        "run 1 | run 2",
    ),
    (
        lambda: a_success()(H.RUN_AGAIN).change(4, run=1).change_row(run=1),
        Check.RUN_MISCOUNTED,
        4,
        "run 2 | run 1",
    ),
    (
        lambda: History()(H.CLAIMED, cost=(2, 0)),
        Check.ATTEMPTS_MISCOUNTED,
        2,
        "attempt 1 | attempt 2",
    ),
    (
        lambda: History()(H.CLAIMED)(H.HANDED_BACK, cost=(0, 0)),
        Check.ATTEMPTS_MISCOUNTED,
        3,
        "attempt 0 | attempt 1",
    ),
    (
        lambda: History()(H.CLAIMED)(H.FAILED, reason=Reason.WORKER_LOST),
        Check.ATTEMPTS_MISCOUNTED,
        3,
        "attempt 0 | attempt 1",
    ),
    (
        lambda: History()(H.CLAIMED)(H.CANCELLED, cost=(1, 0)),
        Check.ATTEMPTS_MISCOUNTED,
        3,
        "attempt 1 or 0 | attempt 2",
    ),
    (
        lambda: History()(H.CANCELLED, cost=(-1, 0)),
        Check.ATTEMPTS_MISCOUNTED,
        2,
        "attempt 0 | attempt -1",
    ),
    (
        lambda: History()(H.CLAIMED)(H.LOST, cost=(-1, 0)),
        Check.LOSSES_MISCOUNTED,
        3,
        "1 losses | 0 losses",
    ),
    (
        lambda: History()(H.CLAIMED)(H.CANCELLED, cost=(0, 1)),
        Check.LOSSES_MISCOUNTED,
        3,
        "0 losses | 1 losses",
    ),
    (
        lambda: a_success()(H.RUN_AGAIN).change(4, losses=1).change_row(losses=1),
        Check.LOSSES_MISCOUNTED,
        4,
        "0 losses | 1 losses",
    ),
    (
        lambda: History(max_attempts=1)(H.CLAIMED)(H.RETRY_SCHEDULED)(H.CLAIMED)(H.SUCCEEDED),
        Check.TOO_MANY_ATTEMPTS,
        4,
        "at most 1 | attempt 2",
    ),
    (
        lambda: History(max_losses=0)(H.CLAIMED)(H.LOST)(H.CLAIMED),
        Check.TOO_MANY_LOSSES,
        3,
        "at most 0 | 1 losses",
    ),
    (
        lambda: History()(H.CLAIMED).change(2, lease_id=None).change_row(lease_id=None),
        Check.FENCE_MISMATCH,
        2,
        "a lease | lease None",
    ),
    (
        lambda: a_success().change(2, claim_no=2).change(3, claim_no=2).change_row(claim_no=2),
        Check.CLAIM_GAP,
        2,
        "claim 1 | claim 2",
    ),
    (
        lambda: History()(H.CANCELLED).change(2, claim_no=1).change_row(claim_no=1),
        Check.CLAIM_GAP,
        2,
        "claim 0 | claim 1",
    ),
    (
        lambda: a_success().change(3, lease_id=OTHER_LEASE),
        Check.FENCE_MISMATCH,
        3,
        "lease 2, claim 1 | lease 9, claim 1",
    ),
    (
        lambda: a_success().change(3, lease_id=None),
        Check.FENCE_MISMATCH,
        3,
        "lease 2, claim 1 | lease None, claim 1",
    ),
    (
        lambda: a_success().change(3, claim_no=9).change_row(claim_no=9),
        Check.FENCE_MISMATCH,
        3,
        "lease 2, claim 1 | lease 2, claim 9",
    ),
    (
        lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED).change(3, lease_id=OTHER_LEASE),
        Check.FENCE_MISMATCH,
        3,
        "lease 2, claim 1 | lease 9, claim 1",
    ),
    (
        lambda: History()(H.CANCELLED).change(2, lease_id=OTHER_LEASE),
        Check.FENCE_MISMATCH,
        2,
        "no lease | lease 9",
    ),
    (
        lambda: a_success().change(2, at=AN_HOUR_EARLIER).change_row(started_at=AN_HOUR_EARLIER),
        Check.CLAIMED_TOO_EARLY,
        2,
        "at 00 s or later | at 2026-11-24T23:00:00.000000+00:00",
    ),
    (
        lambda: a_success().change(3, run_at=BEGIN + SECOND).change_row(run_at=BEGIN + SECOND),
        Check.DUE_TIME_CHANGED,
        3,
        "due at 00 s | due at 01 s",
    ),
    (
        lambda: History()(H.CLAIMED)(H.LOST).change(3, run_at=BEGIN).change_row(run_at=BEGIN),
        Check.DUE_TIME_CHANGED,
        3,
        "due at 03 s or later | due at 00 s",
    ),
    (
        lambda: (
            History()(H.RESCHEDULED)
            .change(2, run_at=BEGIN + SECOND)
            .change_row(run_at=BEGIN + SECOND)
        ),
        Check.DUE_TIME_CHANGED,
        2,
        "due at 02 s or later | due at 01 s",
    ),
    (
        lambda: History()(H.CLAIMED)(H.RESCHEDULED),
        Check.FORBIDDEN_TRANSITION,
        3,
        "what may follow in_progress | rescheduled, new",
    ),
    (
        lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED)(H.LOST),
        Check.CANCEL_IGNORED,
        4,
        "cancelled | lost, new",
    ),
    (
        lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED)(
            H.FAILED, cost=(-1, 0), reason=Reason.WORKER_LOST
        ),
        Check.CANCEL_IGNORED,
        4,
        "cancelled | failed, failed",
    ),
    (
        lambda: a_success().change(3, at=BEGIN).change_row(updated_at=BEGIN, finished_at=BEGIN),
        Check.CLOCK_SET_BACK,
        3,
        "at 02 s or later | at 00 s",
    ),
    (lambda: a_success().change_row(finished_at=None), Check.FINISH_TIME, None, "03 s | none"),
    (lambda: a_success().change_row(finished_at=BEGIN), Check.FINISH_TIME, None, "03 s | 00 s"),
    (lambda: History().change_row(finished_at=BEGIN), Check.FINISH_TIME, None, "none | 00 s"),
]


@every("number", range(len(WRONG)))
def test_a_fault_is_found_once_by_its_check_and_at_its_version(number: int) -> None:
    make, check, version, words = WRONG[number]
    [finding] = make().findings()
    assert (finding.check, finding.version, finding.task_id) == (check, version, TASK)
    assert _in_short(f"{finding.expected} | {finding.found}") == words


def _in_short(text: str) -> str:
    """Leave out what all ids and times have in common."""
    text = re.sub(r"2026-11-25T00:00:(\d\d)\.000000\+00:00", r"\1 s", text)
    return text.replace("00000000-0000-0000-0000-00000000000", "")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("status", "failed", "status succeeded | status failed"),
        ("run", 2, "run 1 | run 2"),
        ("attempt", 0, "attempt 1 | attempt 0"),
        ("losses", 1, "losses 0 | losses 1"),
        ("claim_no", 2, "claim_no 1 | claim_no 2"),
        ("run_at", BEGIN + SECOND, "run_at 00 s | run_at 01 s"),
        ("lease_id", OTHER_LEASE, "lease_id none | lease_id 9"),
        ("cancel_requested", True, "cancel_requested False | cancel_requested True"),
        ("started_at", None, "started_at 02 s | started_at none"),
        ("updated_at", BEGIN, "updated_at 03 s | updated_at 00 s"),
        ("error", "{}", "error none | error {}"),
    ],
)
def test_a_row_that_is_not_what_its_history_leads_to_is_found(
    name: str, value: object, words: str
) -> None:
    [finding] = a_success().change_row(**{name: value}).findings()
    assert (finding.check, finding.version) == (Check.ROW_DRIFT, None)
    assert _in_short(f"{finding.expected} | {finding.found}") == words


def test_all_that_is_wrong_with_a_row_is_one_finding() -> None:
    history = a_success().change_row(run=2, started_at=None)
    [finding] = history.findings()
    assert finding.expected == "run 1, started_at 2026-11-25T00:00:02.000000+00:00"
    assert finding.found == "run 2, started_at none"


def test_a_finding_names_all_that_was_allowed() -> None:
    [finding] = History()(H.CLAIMED)(H.CANCELLED, cost=(-1, 2)).findings()
    assert (finding.expected, finding.found) == ("0 or 1 losses", "2 losses")
