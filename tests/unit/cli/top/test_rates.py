"""Rates come from the counts of two snapshots."""

from datetime import timedelta

import pytest

from taskmill.cli.top.rates import Rates
from taskmill.domain.lifecycle import EventType
from tests.support.pictures import NOW, an_activity

CREATED = EventType.CREATED


def sample(rates: Rates, after_s: float, number: int, *, moved: bool = False) -> float:
    """Add a snapshot with so many created tasks, and return the rate per second."""
    since = NOW - timedelta(minutes=14 if moved else 15)
    at = NOW + timedelta(seconds=after_s)
    activity = an_activity({"mail": {"created": number}}, at=at, since=since, created=number)
    rates.add(activity)
    assert rates.of("mail", CREATED) == rates.of(None, CREATED)
    return rates.of(None, CREATED)


def test_one_snapshot_has_the_rate_of_the_window() -> None:
    rates = Rates()
    assert sample(rates, 0, 900) == pytest.approx(1)
    assert not rates.are_of_now


def test_two_snapshots_have_the_rate_between_them() -> None:
    rates = Rates()
    sample(rates, 0, 900)
    assert sample(rates, 2, 1000) == pytest.approx(50)
    assert rates.are_of_now


def test_snapshots_older_than_ten_seconds_are_dropped() -> None:
    rates = Rates()
    seen = [sample(rates, second, 1000 if second > 10 else 0) for second in range(31)]
    assert seen[11] == pytest.approx(100)
    assert seen[30] == 0


def test_a_window_that_moves_keeps_the_rates_until_there_are_two_new_snapshots() -> None:
    rates = Rates()
    sample(rates, 0, 900)
    sample(rates, 1, 950)
    assert sample(rates, 2, 300, moved=True) == pytest.approx(50)
    assert sample(rates, 3, 310, moved=True) == pytest.approx(10)


def test_a_count_that_falls_is_a_rate_of_zero() -> None:
    rates = Rates()
    sample(rates, 0, 900)
    assert sample(rates, 1, 800) == 0
    assert rates.of("none", CREATED) == 0
