"""How the outcome of an attempt becomes the end of its claim."""

import random
from datetime import timedelta

import pytest

from taskmill.domain.lifecycle import (
    AttemptFacts,
    Cancelled,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Permanent,
    Retry,
    Succeeded,
    decide,
)
from taskmill.domain.retry import RetryPolicy
from taskmill.storage.claims import AttemptEnd
from taskmill.worker.attempt import Attempt
from taskmill.worker.ends import EndPolicy, decided
from tests.support.attempts import an_attempt, settled
from tests.support.builders import ERROR

OWN = RetryPolicy(base=timedelta(seconds=40), jitter=0.5)
OF_SERVICE = RetryPolicy(base=timedelta(seconds=10), jitter=0.5)
SEED = 7


def end_of(attempt: Attempt) -> AttemptEnd:
    return EndPolicy(OF_SERVICE, random.Random(SEED)).end_of(attempt)  # noqa: S311 - no secret


def test_a_success_ends_as_it_is_whether_or_not_a_cancel_was_requested() -> None:
    attempt = settled(1, Succeeded(result='"done"'))
    end = end_of(attempt)
    assert (end.fence, end.transition.result) == (attempt.fence, '"done"')
    assert end.if_cancel_requested is end.transition


@pytest.mark.parametrize("own", [None, OWN])
def test_a_failure_is_retried_by_the_tasks_policy_or_the_services(own: RetryPolicy | None) -> None:
    attempt = an_attempt(1, retry=own, attempt=2, max_attempts=3)
    attempt.settle(Failed(error=ERROR), at=1.0)
    jitter = random.Random(SEED).random()  # noqa: S311 - no secret
    end = end_of(attempt)
    assert end.fence == attempt.fence
    assert end.transition.delay == (own or OF_SERVICE).delay(2, jitter)
    assert end.if_cancel_requested.status == "cancelled"


@pytest.mark.parametrize(
    ("fields", "outcome", "status"),
    [
        ({"attempt": 2, "max_attempts": 2}, Failed(error=ERROR), "failed"),
        ({"attempt": 1, "max_attempts": 2}, Failed(error=ERROR), "new"),
        ({"losses": 3, "max_losses": 3}, Lost(), "failed"),
        ({"losses": 2, "max_losses": 3}, Lost(), "new"),
    ],
)
def test_the_tasks_own_limits_decide(fields: dict[str, int], outcome: Outcome, status: str) -> None:
    attempt = an_attempt(1, **fields)
    attempt.settle(outcome, at=1.0)
    assert end_of(attempt).transition.status == status


@pytest.mark.parametrize(
    "outcome",
    [
        Succeeded(result="1"),
        Failed(error=ERROR),
        Retry(error=ERROR),
        Permanent(error=ERROR),
        Lost(),
        Interrupted(),
        Cancelled(),
    ],
)
def test_both_cases_are_decided_with_the_same_chance(outcome: Outcome) -> None:
    fence = an_attempt(1).fence
    facts = AttemptFacts(attempt=1, max_attempts=3, losses=0, max_losses=3, retry=OWN)
    assert decided(fence, outcome, facts, jitter=0.25) == AttemptEnd(
        fence=fence,
        transition=decide(outcome, facts, cancel_requested=False, jitter=0.25),
        if_cancel_requested=decide(outcome, facts, cancel_requested=True, jitter=0.25),
    )
