"""The back-off between attempts."""

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.retry import RetryPolicy

MIDDLE = 0.5


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (10, 512)])
def test_the_wait_doubles_with_each_attempt(attempt: int, seconds: int) -> None:
    assert RetryPolicy().delay(attempt, MIDDLE) == timedelta(seconds=seconds)


def test_the_wait_stops_growing_at_its_maximum() -> None:
    policy = RetryPolicy(maximum=timedelta(seconds=30))
    assert policy.delay(6, MIDDLE) == timedelta(seconds=30)
    assert policy.delay(1_000_000, MIDDLE) == timedelta(seconds=30)


def test_jitter_spreads_the_wait_both_ways() -> None:
    policy = RetryPolicy(base=timedelta(seconds=10), jitter=0.2)
    assert policy.delay(1, 0.0) == timedelta(seconds=8)
    assert policy.delay(1, MIDDLE) == timedelta(seconds=10)
    assert policy.delay(1, 1.0) == timedelta(seconds=12)


def test_without_a_base_there_is_no_wait() -> None:
    assert RetryPolicy(base=timedelta(0)).delay(50, 0.9) == timedelta(0)


@given(
    attempt=st.integers(1, 10_000),
    randomness=st.floats(0, 1, exclude_max=True),
    base_s=st.floats(0, 86_400),
    factor=st.floats(1, 100),
    maximum_s=st.floats(0, 604_800),
    jitter=st.floats(0, 1),
)
def test_the_wait_is_never_negative_and_never_over_the_maximum(
    *,
    attempt: int,
    randomness: float,
    base_s: float,
    factor: float,
    maximum_s: float,
    jitter: float,
) -> None:
    maximum = timedelta(seconds=maximum_s)
    policy = RetryPolicy(
        base=timedelta(seconds=base_s), factor=factor, maximum=maximum, jitter=jitter
    )
    assert timedelta(0) <= policy.delay(attempt, randomness) <= maximum


@given(attempt=st.integers(1, 200), randomness=st.floats(0, 1, exclude_max=True))
def test_the_wait_never_shrinks_from_attempt_to_attempt(attempt: int, randomness: float) -> None:
    policy = RetryPolicy()
    assert policy.delay(attempt, randomness) <= policy.delay(attempt + 1, randomness)
