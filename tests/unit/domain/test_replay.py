"""The replay of a history: it finds nothing in what the program writes, and one finding for each fault."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.checks import CHECK_MEANINGS, Check
from taskmill.domain.history import ALLOWED_PAIRS, NOTHING, STEPS
from taskmill.domain.lifecycle import ALLOWED, EventType, Reason, Status
from tests.support.histories import BEGIN, History, a_success

H = EventType
HOUR = timedelta(hours=1)


def every_event() -> History:
    """A history with every type of event in it."""
    history = History()(H.CLAIMED)(H.RETRY_SCHEDULED, error='{"a": 1}')(H.RESCHEDULED)
    history(H.CLAIMED)(H.HANDED_BACK)
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
    "was rescheduled to a later time": lambda: (
        History()(H.RESCHEDULED).change(2, run_at=BEGIN + HOUR).change_row(run_at=BEGIN + HOUR)
    ),
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
    "was lost as often as it may be": lambda: History(max_losses=1)(H.CLAIMED)(
        H.LOST, reason=Reason.WORKER_LOST
    ),
    "was claimed in the moment in which it was due": lambda: (
        History()(H.CLAIMED).change(2, at=BEGIN).change_row(started_at=BEGIN, updated_at=BEGIN)
    ),
    "was lost for good": lambda: History(max_losses=0)(H.CLAIMED)(
        H.FAILED, cost=(-1, 0), reason=Reason.WORKER_LOST
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_in_a_task_that(name: str) -> None:
    assert SOUND[name]().replay() == []


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
    stays = {(Status.NEW, Status.NEW), (Status.IN_PROGRESS, Status.IN_PROGRESS)}
    in_place = {(NOTHING, Status.NEW)} | stays
    assert pairs == allowed | in_place == ALLOWED_PAIRS
    assert STEPS.keys() == set(EventType)


def test_every_check_is_explained() -> None:
    assert CHECK_MEANINGS.keys() == set(Check)
