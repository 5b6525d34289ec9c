"""The replay of a history: it finds nothing in what the program writes, and each fault by its check."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.audit import CHECK_MEANINGS, Check
from taskmill.domain.history import ALLOWED_PAIRS, NOTHING, STEPS
from taskmill.domain.lifecycle import ALLOWED, EventType, Reason, Status
from taskmill.domain.replay import Replay
from tests.support.histories import BEGIN, SECOND, History

H = EventType
OTHER_LEASE = UUID(int=9)


def a_success() -> History:
    return History()(H.CLAIMED)(H.SUCCEEDED)


def every_event() -> History:
    """A history with every type of event in it."""
    history = History()(H.CLAIMED)(H.RETRY_SCHEDULED, error='{"a": 1}')(H.CLAIMED)(H.HANDED_BACK)
    history(H.CLAIMED)(H.LOST)(H.CLAIMED)(H.SUCCEEDED)(H.RUN_AGAIN)(H.CANCELLED)(H.RUN_AGAIN)
    history(H.CLAIMED)(H.CANCEL_REQUESTED)(H.CANCELLED, cost=(-1, 1))(H.RUN_AGAIN)
    return history(H.EXPIRED, error='{"b": 2}')(H.RUN_AGAIN)(H.CLAIMED)(H.FAILED, error="{}")


def test_nothing_is_found_in_a_history_with_everything_in_it() -> None:
    history = every_event()
    assert {entry.event_type for entry in history.entries} == set(EventType)
    assert history.replay() == []


SOUND: dict[str, Callable[[], History]] = {
    "waits": History,
    "runs": lambda: History()(H.CLAIMED),
    "is asked to cancel": lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED),
    "succeeds though it is to cancel": lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED)(
        H.SUCCEEDED
    ),
    "fails for the last time though it is to cancel": lambda: History()(H.CLAIMED)(
        H.CANCEL_REQUESTED
    )(H.FAILED, reason=Reason.ERROR),
    "was cancelled by its handler": lambda: History()(H.CLAIMED)(H.CANCELLED),
    "was cancelled in place of a hand-back": lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED)(
        H.CANCELLED, cost=(-1, 0)
    ),
    "was lost for good": lambda: History(max_losses=0)(H.CLAIMED)(
        H.FAILED, cost=(-1, 0), reason=Reason.WORKER_LOST
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_task_that(name: str) -> None:
    assert SOUND[name]().replay() == []


AN_HOUR_EARLIER = BEGIN - timedelta(hours=1)
# What is wrong, the check that finds it, and at which version.
WRONG: list[tuple[Callable[[], History], Check, int | None]] = [
    (lambda: a_success().change_row(version=4), Check.VERSION_GAP, None),
    (lambda: a_success().change_row(version=2), Check.VERSION_GAP, None),
    (lambda: a_success().change(2, version=7), Check.VERSION_GAP, 7),
    (lambda: a_success().change(1, version=2), Check.VERSION_GAP, 2),
    (lambda: a_success().change(2, event_type="sneezed"), Check.UNKNOWN_ENTRY, 2),
    (lambda: a_success().change(2, status="sneezing"), Check.UNKNOWN_ENTRY, 2),
    (lambda: History().change(1, event_type=H.RUN_AGAIN), Check.FORBIDDEN_TRANSITION, 1),
    (lambda: History()(H.FAILED), Check.FORBIDDEN_TRANSITION, 2),
    (lambda: History()(H.CLAIMED)(H.EXPIRED), Check.FORBIDDEN_TRANSITION, 3),
    (lambda: History()(H.CREATED), Check.FORBIDDEN_TRANSITION, 2),
    (lambda: a_success()(H.CANCELLED), Check.AFTER_THE_END, 4),
    (lambda: a_success()(H.CLAIMED), Check.AFTER_THE_END, 4),
    (lambda: History()(H.CANCELLED)(H.CLAIMED)(H.SUCCEEDED), Check.AFTER_THE_END, 3),
    (lambda: History()(H.CLAIMED)(H.CLAIMED), Check.CLAIMS_OVERLAP, 3),
    (lambda: History()(H.SUCCEEDED), Check.UNCLAIMED_SUCCESS, 2),
    (lambda: a_success()(H.RUN_AGAIN)(H.SUCCEEDED), Check.UNCLAIMED_SUCCESS, 5),
    (
        lambda: a_success().change(2, run=2).change(3, run=2).change_row(run=2),
        Check.RUN_MISCOUNTED,
        2,
    ),
    (lambda: a_success()(H.RUN_AGAIN).change(4, run=1).change_row(run=1), Check.RUN_MISCOUNTED, 4),
    (lambda: History()(H.CLAIMED, cost=(2, 0)), Check.ATTEMPTS_MISCOUNTED, 2),
    (lambda: History()(H.CLAIMED)(H.HANDED_BACK, cost=(0, 0)), Check.ATTEMPTS_MISCOUNTED, 3),
    (
        lambda: History()(H.CLAIMED)(H.FAILED, reason=Reason.WORKER_LOST),
        Check.ATTEMPTS_MISCOUNTED,
        3,
    ),
    (lambda: History()(H.CLAIMED)(H.CANCELLED, cost=(1, 0)), Check.ATTEMPTS_MISCOUNTED, 3),
    (lambda: History()(H.CANCELLED, cost=(-1, 0)), Check.ATTEMPTS_MISCOUNTED, 2),
    (lambda: History()(H.CLAIMED)(H.LOST, cost=(-1, 0)), Check.LOSSES_MISCOUNTED, 3),
    (lambda: History()(H.CLAIMED)(H.CANCELLED, cost=(0, 1)), Check.LOSSES_MISCOUNTED, 3),
    (
        lambda: a_success()(H.RUN_AGAIN).change(4, losses=1).change_row(losses=1),
        Check.LOSSES_MISCOUNTED,
        4,
    ),
    (
        lambda: History(max_attempts=1)(H.CLAIMED)(H.RETRY_SCHEDULED)(H.CLAIMED),
        Check.TOO_MANY_ATTEMPTS,
        4,
    ),
    (lambda: History(max_losses=0)(H.CLAIMED)(H.LOST), Check.TOO_MANY_LOSSES, 3),
    (
        lambda: a_success().change(2, claim_no=2).change(3, claim_no=2).change_row(claim_no=2),
        Check.CLAIM_GAP,
        2,
    ),
    (
        lambda: History()(H.CANCELLED).change(2, claim_no=1).change_row(claim_no=1),
        Check.CLAIM_GAP,
        2,
    ),
    (lambda: a_success().change(3, lease_id=OTHER_LEASE), Check.FENCE_MISMATCH, 3),
    (lambda: a_success().change(3, lease_id=None), Check.FENCE_MISMATCH, 3),
    (
        lambda: a_success().change(3, claim_no=9).change_row(claim_no=9),
        Check.FENCE_MISMATCH,
        3,
    ),
    (
        lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED).change(3, lease_id=OTHER_LEASE),
        Check.FENCE_MISMATCH,
        3,
    ),
    (lambda: History()(H.CANCELLED).change(2, lease_id=OTHER_LEASE), Check.FENCE_MISMATCH, 2),
    (
        lambda: a_success().change(2, at=AN_HOUR_EARLIER).change_row(started_at=AN_HOUR_EARLIER),
        Check.CLAIMED_TOO_EARLY,
        2,
    ),
    (
        lambda: a_success().change(3, run_at=BEGIN + SECOND).change_row(run_at=BEGIN + SECOND),
        Check.DUE_TIME_CHANGED,
        3,
    ),
    (
        lambda: History()(H.CLAIMED)(H.LOST).change(3, run_at=BEGIN).change_row(run_at=BEGIN),
        Check.DUE_TIME_CHANGED,
        3,
    ),
    (lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED)(H.LOST), Check.CANCEL_IGNORED, 4),
    (
        lambda: History()(H.CLAIMED)(H.CANCEL_REQUESTED)(
            H.FAILED, cost=(-1, 0), reason=Reason.WORKER_LOST
        ),
        Check.CANCEL_IGNORED,
        4,
    ),
    (
        lambda: a_success().change(3, at=BEGIN).change_row(updated_at=BEGIN, finished_at=BEGIN),
        Check.CLOCK_SET_BACK,
        3,
    ),
    (lambda: a_success().change_row(finished_at=None), Check.FINISH_TIME, None),
    (lambda: a_success().change_row(finished_at=BEGIN), Check.FINISH_TIME, None),
    (lambda: History().change_row(finished_at=BEGIN), Check.FINISH_TIME, None),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_fault_is_found_once_by_its_check_and_at_its_version(number: int) -> None:
    make, check, version = WRONG[number]
    assert make().replay() == [(check, version)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "failed"),
        ("run", 2),
        ("attempt", 0),
        ("losses", 1),
        ("claim_no", 2),
        ("run_at", BEGIN + SECOND),
        ("lease_id", OTHER_LEASE),
        ("cancel_requested", True),
        ("started_at", None),
        ("updated_at", BEGIN),
        ("error", "{}"),
    ],
)
def test_a_row_that_is_not_what_its_history_leads_to_is_found(name: str, value: object) -> None:
    assert a_success().change_row(**{name: value}).replay() == [(Check.ROW_DRIFT, None)]


def test_all_that_is_wrong_with_a_row_is_one_finding() -> None:
    history = a_success().change_row(run=2, started_at=None)
    replay = Replay(history.row)
    for entry in history.entries:
        replay.add(entry)
    replay.close()
    [finding] = replay.findings
    assert finding.task_id == history.row.id
    assert finding.expected == "run 1, started_at 2026-11-25T00:00:02.000000+00:00"
    assert finding.found == "run 2, started_at none"


def test_a_finding_names_all_that_was_allowed() -> None:
    history = History()(H.CLAIMED)(H.CANCELLED, cost=(-1, 2))
    replay = Replay(history.row)
    for entry in history.entries:
        replay.add(entry)
    assert [(f.expected, f.found) for f in replay.findings] == [("0 or 1 losses", "2 losses")]


def test_after_a_gap_nothing_more_is_reported() -> None:
    history = a_success().change(2, version=7).change(3, run=9).change_row(run=9)
    assert history.replay() == [(Check.VERSION_GAP, 7)]


def test_a_wrong_entry_is_one_finding_and_the_base_for_what_follows() -> None:
    history = History()(H.CLAIMED, cost=(2, 0))(H.HANDED_BACK)(H.CLAIMED)(H.SUCCEEDED)
    assert history.replay() == [(Check.ATTEMPTS_MISCOUNTED, 2)]


@given(st.data())
def test_any_way_through_the_state_machine_is_sound(data: st.DataObject) -> None:
    history = History(max_attempts=100, max_losses=100)
    for _ in range(data.draw(st.integers(0, 12))):
        history(data.draw(st.sampled_from(_possible(history))))
    assert history.replay() == []


def _possible(history: History) -> list[EventType]:
    status, is_cancelled = history.row.status, history.row.cancel_requested
    ways = [event_type for event_type in EventType if status in STEPS[event_type].sources]
    if is_cancelled and status == Status.IN_PROGRESS:
        return [
            way for way in ways if STEPS[way].target != Status.NEW and way != H.CANCEL_REQUESTED
        ]
    return ways


def test_steps_lead_exactly_where_the_state_machine_allows() -> None:
    pairs = {(before, step.target) for step in STEPS.values() for before in step.sources}
    allowed = {(before, after) for before, afters in ALLOWED.items() for after in afters}
    in_place = {(NOTHING, Status.NEW), (Status.IN_PROGRESS, Status.IN_PROGRESS)}
    assert pairs == allowed | in_place == ALLOWED_PAIRS
    assert STEPS.keys() == set(EventType)


def test_every_check_is_explained() -> None:
    assert CHECK_MEANINGS.keys() == set(Check)
