"""Rates are what was counted between two looks."""

from datetime import timedelta

import pytest

from taskmill.cli.top.rates import Rates
from taskmill.domain.lifecycle import EventType
from tests.support.pictures import NOW, an_activity

CREATED = EventType.CREATED


def look(rates: Rates, after_s: float, number: int, *, moved: bool = False) -> float:
    """Take a look at which so many were created, and return how many a second that is."""
    since = NOW - timedelta(minutes=14 if moved else 15)
    at = NOW + timedelta(seconds=after_s)
    activity = an_activity({"mail": {"created": number}}, at=at, since=since, created=number)
    rates.add(activity)
    assert rates.of("mail", CREATED) == rates.of(None, CREATED)
    return rates.of(None, CREATED)


def test_one_look_tells_the_rate_of_the_window() -> None:
    rates = Rates()
    assert look(rates, 0, 900) == pytest.approx(1)
    assert not rates.are_of_now


def test_two_looks_tell_what_was_between_them() -> None:
    rates = Rates()
    look(rates, 0, 900)
    assert look(rates, 2, 1000) == pytest.approx(50)
    assert rates.are_of_now


def test_looks_of_before_ten_seconds_are_forgotten() -> None:
    rates = Rates()
    seen = [look(rates, second, 1000 if second > 10 else 0) for second in range(31)]
    assert seen[11] == pytest.approx(100)
    assert seen[30] == 0


def test_a_window_that_moves_on_keeps_the_rates_until_there_are_two_looks_again() -> None:
    rates = Rates()
    look(rates, 0, 900)
    look(rates, 1, 950)
    assert look(rates, 2, 300, moved=True) == pytest.approx(50)
    assert look(rates, 3, 310, moved=True) == pytest.approx(10)


def test_what_is_counted_less_is_no_rate() -> None:
    rates = Rates()
    look(rates, 0, 900)
    assert look(rates, 1, 800) == 0
    assert rates.of("none", CREATED) == 0
