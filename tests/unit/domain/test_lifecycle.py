"""The status machine: every pair of statuses, every outcome, and what holds for all of them."""

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.lifecycle import (
    ALLOWED,
    LOST_ERROR,
    TERMINAL,
    AttemptFacts,
    Cancelled,
    ErrorInfo,
    EventType,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Permanent,
    Reason,
    Retry,
    Status,
    Succeeded,
    Transition,
    decide,
)
from taskmill.domain.retry import RetryPolicy

ERROR = ErrorInfo(type="ValueError", message="no such customer")
EXPECTED_TRANSITIONS = {
    ("new", "in_progress"),
    ("new", "cancelled"),
    ("new", "failed"),
    ("in_progress", "new"),
    ("in_progress", "succeeded"),
    ("in_progress", "failed"),
    ("in_progress", "cancelled"),
    ("succeeded", "new"),
    ("failed", "new"),
    ("cancelled", "new"),
}


def some_facts(
    *, attempt: int = 1, max_attempts: int = 3, losses: int = 0, max_losses: int = 3
) -> AttemptFacts:
    return AttemptFacts(
        attempt=attempt,
        max_attempts=max_attempts,
        losses=losses,
        max_losses=max_losses,
        retry=RetryPolicy(base=timedelta(seconds=2), jitter=0.0),
    )


def ends(
    outcome: Outcome, facts: AttemptFacts | None = None, *, cancel: bool = False
) -> Transition:
    return decide(outcome, facts or some_facts(), cancel_requested=cancel, jitter=0.5)


def test_exactly_the_listed_pairs_of_statuses_are_allowed() -> None:
    pairs = {(before.value, after.value) for before in ALLOWED for after in ALLOWED[before]}
    assert pairs == EXPECTED_TRANSITIONS


def test_every_status_has_its_row_of_transitions() -> None:
    assert set(ALLOWED) == set(Status)


def test_a_terminal_status_leads_nowhere_but_to_a_new_run() -> None:
    assert {"succeeded", "failed", "cancelled"} == TERMINAL
    assert all(ALLOWED[status] == {Status.NEW} for status in TERMINAL)


def test_a_success_keeps_its_result() -> None:
    transition = ends(Succeeded(result='{"rows":3}'))
    assert transition == Transition(
        status=Status.SUCCEEDED, event_type=EventType.SUCCEEDED, result='{"rows":3}'
    )


def test_a_success_wins_over_a_cancel() -> None:
    assert ends(Succeeded(), cancel=True).status is Status.SUCCEEDED


def test_a_failure_is_retried_after_the_back_off_of_its_attempt() -> None:
    transition = ends(Failed(error=ERROR), some_facts(attempt=2))
    assert transition == Transition(
        status=Status.NEW,
        event_type=EventType.RETRY_SCHEDULED,
        reason=Reason.ERROR,
        delay=timedelta(seconds=4),
        error=ERROR,
    )


def test_the_last_attempt_fails_for_good_and_keeps_its_reason() -> None:
    transition = ends(Failed(error=ERROR, reason=Reason.TIMEOUT), some_facts(attempt=3))
    assert transition == Transition(
        status=Status.FAILED, event_type=EventType.FAILED, reason=Reason.TIMEOUT, error=ERROR
    )


def test_a_permanent_failure_spends_no_other_attempt() -> None:
    transition = ends(Permanent(error=ERROR), some_facts(max_attempts=1000))
    assert transition == Transition(
        status=Status.FAILED, event_type=EventType.FAILED, reason=Reason.PERMANENT, error=ERROR
    )


@pytest.mark.parametrize(
    ("after", "delay"),
    [
        (None, timedelta(seconds=2)),
        (timedelta(minutes=5), timedelta(minutes=5)),
        (timedelta(0), timedelta(0)),
        (timedelta(days=-1), timedelta(0)),
        (timedelta(days=3_000_000), timedelta(days=365)),
        (timedelta.max, timedelta(days=365)),
    ],
)
def test_a_handler_may_choose_when_it_is_retried(after: timedelta | None, delay: timedelta) -> None:
    assert ends(Retry(error=ERROR, after=after)) == Transition(
        status=Status.NEW,
        event_type=EventType.RETRY_SCHEDULED,
        reason=Reason.RETRY_REQUESTED,
        delay=delay,
        error=ERROR,
    )


def test_a_requested_retry_gives_no_attempt_beyond_the_last() -> None:
    transition = ends(Retry(error=ERROR, after=timedelta(0)), some_facts(attempt=3))
    assert transition == Transition(
        status=Status.FAILED,
        event_type=EventType.FAILED,
        reason=Reason.RETRY_REQUESTED,
        error=ERROR,
    )


def test_a_lost_attempt_costs_a_loss_and_no_attempt() -> None:
    assert ends(Lost(), some_facts(losses=2)) == Transition(
        status=Status.NEW,
        event_type=EventType.LOST,
        reason=Reason.WORKER_LOST,
        spends_attempt=False,
        counts_loss=True,
    )


@pytest.mark.parametrize(("losses", "max_losses"), [(3, 3), (0, 0)])
def test_a_loss_beyond_the_limit_fails_and_is_not_counted(losses: int, max_losses: int) -> None:
    assert ends(Lost(), some_facts(losses=losses, max_losses=max_losses)) == Transition(
        status=Status.FAILED,
        event_type=EventType.FAILED,
        reason=Reason.WORKER_LOST,
        error=LOST_ERROR,
        spends_attempt=False,
    )


def test_handing_back_costs_nothing() -> None:
    transition = ends(Interrupted(reason=Reason.NO_HANDLER, after=timedelta(seconds=30)))
    assert transition == Transition(
        status=Status.NEW,
        event_type=EventType.HANDED_BACK,
        reason=Reason.NO_HANDLER,
        delay=timedelta(seconds=30),
        spends_attempt=False,
    )


def test_a_handler_that_stopped_for_a_cancel_ends_cancelled() -> None:
    assert ends(Cancelled(), cancel=True) == Transition(
        status=Status.CANCELLED, event_type=EventType.CANCELLED, reason=Reason.CANCELLED
    )


@pytest.mark.parametrize(
    ("outcome", "spends_attempt", "counts_loss", "error"),
    [
        (Failed(error=ERROR), True, False, ERROR),
        (Retry(error=ERROR), True, False, ERROR),
        (Lost(), False, True, None),
        (Interrupted(after=timedelta(seconds=30)), False, False, None),
    ],
)
def test_a_cancel_makes_every_way_back_cancelled_at_the_same_cost(
    outcome: Outcome, *, spends_attempt: bool, counts_loss: bool, error: ErrorInfo | None
) -> None:
    assert ends(outcome, cancel=True) == Transition(
        status=Status.CANCELLED,
        event_type=EventType.CANCELLED,
        reason=Reason.CANCELLED,
        spends_attempt=spends_attempt,
        counts_loss=counts_loss,
        error=error,
    )


DELAYS = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=30))
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Succeeded, result=st.none() | st.just("1")),
    st.builds(Failed, error=st.just(ERROR), reason=st.sampled_from([Reason.ERROR, Reason.TIMEOUT])),
    st.builds(Retry, error=st.just(ERROR), after=st.none() | DELAYS),
    st.builds(Permanent, error=st.just(ERROR)),
    st.just(Lost()),
    st.builds(Interrupted, after=DELAYS),
    st.just(Cancelled()),
)


@st.composite
def any_facts(draw: st.DrawFn) -> AttemptFacts:
    max_attempts = draw(st.integers(1, 1000))
    max_losses = draw(st.integers(0, 100))
    return AttemptFacts(
        attempt=draw(st.integers(1, max_attempts)),
        max_attempts=max_attempts,
        losses=draw(st.integers(0, max_losses)),
        max_losses=max_losses,
        retry=RetryPolicy(),
    )


JITTER = st.floats(0, 1, exclude_max=True)


@given(outcome=OUTCOMES, facts=any_facts(), cancel=st.booleans(), jitter=JITTER)
def test_every_decision_keeps_the_rules(
    outcome: Outcome, facts: AttemptFacts, *, cancel: bool, jitter: float
) -> None:
    transition = decide(outcome, facts, cancel_requested=cancel, jitter=jitter)
    assert transition.status in ALLOWED[Status.IN_PROGRESS]
    assert transition.delay >= timedelta(0)
    assert transition.delay == timedelta(0) or transition.status is Status.NEW
    assert facts.losses + transition.counts_loss <= facts.max_losses
    assert (transition.status is Status.SUCCEEDED) is isinstance(outcome, Succeeded)
    assert (transition.status is Status.FAILED) <= (transition.error is not None)
    assert not (cancel and transition.status is Status.NEW)


@given(
    outcomes=st.lists(OUTCOMES, min_size=1, max_size=60),
    max_attempts=st.integers(1, 5),
    max_losses=st.integers(0, 4),
)
def test_a_run_never_spends_more_attempts_or_losses_than_it_has(
    outcomes: list[Outcome], max_attempts: int, max_losses: int
) -> None:
    spent = losses = 0
    for outcome in outcomes:
        facts = some_facts(
            attempt=spent + 1, max_attempts=max_attempts, losses=losses, max_losses=max_losses
        )
        transition = ends(outcome, facts)
        spent += transition.spends_attempt
        losses += transition.counts_loss
        if transition.status is not Status.NEW:
            break
    assert spent <= max_attempts
    assert losses <= max_losses
