"""Work that is kept to a share of the time."""

from datetime import UTC, datetime, timedelta

from taskmill.runtime.duty_cycle import DutyCycle
from tests.support.clocks import ManualClock


def test_cheap_work_is_always_allowed() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    duty_cycle = DutyCycle(clock, share=0.1, most_s=0.2, longest_s=60)
    for _ in range(1000):
        assert duty_cycle.is_open
        duty_cycle.charge(0.001)
        clock.advance(timedelta(milliseconds=10))


def test_expensive_work_waits_until_it_takes_its_share_only() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    duty_cycle = DutyCycle(clock, share=0.1, most_s=0.2, longest_s=60)
    duty_cycle.charge(1)
    assert not duty_cycle.is_open
    clock.advance(timedelta(seconds=7.9))
    assert not duty_cycle.is_open
    clock.advance(timedelta(seconds=0.2))
    assert duty_cycle.is_open


def test_an_unused_budget_does_not_grow_without_limit() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    duty_cycle = DutyCycle(clock, share=0.1, most_s=0.2, longest_s=60)
    clock.advance(timedelta(days=1))
    duty_cycle.charge(0.3)
    assert not duty_cycle.is_open


def test_very_long_work_does_not_close_it_for_longer_than_its_limit() -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    duty_cycle = DutyCycle(clock, share=0.1, most_s=0.2, longest_s=2)
    duty_cycle.charge(8)
    duty_cycle.charge(8)
    clock.advance(timedelta(seconds=1.9))
    assert not duty_cycle.is_open
    clock.advance(timedelta(seconds=0.2))
    assert duty_cycle.is_open
