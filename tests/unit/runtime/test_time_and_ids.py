"""Clocks and ids."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, strategies as st

from taskmill.domain import identity
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.ids import IdFactory
from tests.support.clocks import ManualClock

START = datetime(2026, 3, 4, 5, 6, 7, 891000, tzinfo=UTC)


def a_factory(clock: ManualClock) -> IdFactory:
    return IdFactory(clock, random.Random(5))  # noqa: S311 - no secret


def test_the_system_clock_returns_utc_and_never_runs_backwards() -> None:
    clock = SystemClock()
    readings = [(clock.now(), clock.monotonic()) for _ in range(100)]
    assert readings == sorted(readings)
    assert readings[0][0].tzinfo is UTC
    real = datetime.now(UTC)  # noqa: TID251 - what it is compared with
    assert abs(real - clock.now()) < timedelta(seconds=5)


def test_an_anchored_clock_counts_on_from_the_databases_time() -> None:
    clock = SystemClock()
    for database_time in (START, START + timedelta(days=9999)):
        before = clock.monotonic()
        clock.anchor(database_time, requested_at=before - 0.5, received_at=before)
        assert timedelta(0) <= clock.now() - database_time < timedelta(seconds=2)


def test_a_slow_reply_moves_an_anchored_clock_no_further_than_it_proves() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.anchor(START, requested_at=before, received_at=before)
    for late_s in (0.0, 1.0, 3.0):
        database_time = START + timedelta(seconds=late_s)
        clock.anchor(database_time, requested_at=before, received_at=before + 3)
        assert abs(clock.now() - START - timedelta(seconds=clock.monotonic() - before)) < timedelta(
            milliseconds=1
        )
    clock.anchor(START + timedelta(seconds=5), requested_at=before, received_at=before + 3)
    moved = clock.now() - START - timedelta(seconds=clock.monotonic() - before)
    assert abs(moved - timedelta(seconds=2)) < timedelta(milliseconds=1)


def test_a_manual_clock_stands_until_it_is_moved() -> None:
    clock = ManualClock(START)
    assert (clock.now(), clock.monotonic()) == (START, 0.0)
    clock.advance(timedelta(seconds=90))
    assert (clock.now(), clock.monotonic()) == (START + timedelta(seconds=90), 90.0)


def test_an_id_is_a_version_7_uuid_of_its_moment() -> None:
    made = a_factory(ManualClock(START))()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert identity.created_at(made) == START


def test_ids_of_one_moment_rise_and_then_run_ahead_by_milliseconds() -> None:
    factory = a_factory(ManualClock(START))
    ids = [factory() for _ in range(3 * 4096 + 1)]
    assert ids == sorted(set(ids))
    assert identity.created_at(ids[4095]) == START
    assert identity.created_at(ids[4096]) == START + timedelta(milliseconds=1)
    assert identity.created_at(ids[-1]) == START + timedelta(milliseconds=3)
    assert all(one.version == 7 for one in ids)


def test_an_id_that_ran_ahead_waits_for_its_clock_to_catch_up() -> None:
    clock = ManualClock(START)
    factory = a_factory(clock)
    ahead = [factory() for _ in range(4097)][-1]
    clock.advance(timedelta(milliseconds=1))
    assert ahead < factory()
    clock.advance(timedelta(milliseconds=9))
    assert identity.created_at(factory()) == START + timedelta(milliseconds=10)


@given(st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=60))
def test_order_survives_a_clock_that_jumps(steps: list[int]) -> None:
    clock = ManualClock(START)
    factory = a_factory(clock)
    ids = [factory()]
    for step in steps:
        clock.advance(timedelta(milliseconds=step))
        ids.append(factory())
    assert ids == sorted(set(ids))
    assert max(map(identity.created_at, ids)) >= clock.now()


def test_two_factories_make_different_ids_at_the_same_moment() -> None:
    clock = ManualClock(START)
    one = IdFactory(clock, random.Random(1))  # noqa: S311 - no secret
    other = IdFactory(clock, random.Random(2))  # noqa: S311 - no secret
    assert not {one() for _ in range(500)} & {other() for _ in range(500)}


@pytest.mark.parametrize("microseconds", [0, 1, 499, 500, 999])
def test_an_id_never_has_a_later_time_than_its_clock(microseconds: int) -> None:
    moment = START + timedelta(microseconds=microseconds)
    assert identity.created_at(a_factory(ManualClock(moment))()) == START
