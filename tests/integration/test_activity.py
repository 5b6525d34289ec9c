"""The activity over a window: its times, edges, series and types, and the rate of claims."""

import random
from datetime import timedelta

import pytest

from taskmill.domain.activity import Durations, Window
from taskmill.domain.lifecycle import EventType
from taskmill.storage import minutes
from taskmill.storage.rates import claimed_per_second
from tests.support.rolling import (
    add_events,
    assert_times,
    counts_of,
    now,
    read_activity,
    settle,
    total,
)
from tests.support.stage import Stage


async def test_percentiles_are_right_within_eleven_percent_at_every_step(stage: Stage) -> None:
    rng, moment = random.Random(7), await now(stage)  # noqa: S311 - no secret
    waits = [rng.lognormvariate(-3, 2) for _ in range(3000)]
    runs = [rng.uniform(5, 10) for _ in range(3000)]
    for part in range(6):
        at = moment - part * timedelta(minutes=9)
        await add_events(stage, at, "claimed", seconds=waits[part::6])
        await add_events(stage, at, "succeeded", seconds=runs[part::6])
    for _ in range(3):
        for window in (Window.HOUR, Window.HOURS_6, Window.MONTH):
            flow = (await read_activity(stage, window)).total
            assert_times(flow.waiting, waits)
            assert_times(flow.running, runs)
        await settle(stage)


async def test_the_database_and_the_domain_have_the_same_buckets(stage: Stage) -> None:
    values = [10**exponent for exponent in range(-5, 8)] + [0.0, 0.0010001, 3e6, 1e12]
    for value in values:
        bucket = await stage.sql.fetchval("SELECT taskmill.duration_bucket($1)", float(value))
        [middle] = Durations(buckets={bucket: 1}).percentiles_s(1)
        assert middle == pytest.approx(min(max(value, 0.001), 2.94e6), rel=0.11)


async def test_counts_up_to_twelve_digits_stay_in_their_bucket(stage: Stage) -> None:
    packed = await stage.sql.fetchval("""
        SELECT (taskmill.packed_bucket(999999999999, 0::smallint) + taskmill.packed_bucket(7, 1::smallint)
            + taskmill.packed_bucket(123456789012, 110::smallint))::text
    """)
    assert minutes._unpacked(packed) == {0: 999_999_999_999, 1: 7, 110: 123_456_789_012}


async def test_the_window_begins_with_a_step_and_the_first_one_counts_whole(stage: Stage) -> None:
    for window in Window:
        activity = await read_activity(stage, window)
        since = activity.since - timedelta(days=100)
        while since != activity.since:  # a step may begin just now
            since = activity.since
            await stage.sql.execute("DELETE FROM taskmill.task_minute_delta")
            await add_events(stage, since, tasks=1)
            await add_events(stage, since - timedelta(microseconds=1), tasks=1000)
            activity = await read_activity(stage, window)
        late = activity.until - window.length - since
        assert timedelta(0) <= late < window.step
        assert activity.points[0] == (since, activity.total)
        assert activity.total.changes == 1


async def test_a_series_has_a_point_for_every_step_also_where_nothing_happened(
    stage: Stage,
) -> None:
    activity = await read_activity(stage, "1h")
    assert (len(activity.points), activity.groups, activity.total.changes) == (61, {}, 0)
    await add_events(stage, await now(stage) - timedelta(minutes=30))
    points = (await read_activity(stage, "1h")).points
    assert [at for at, _ in points] == [at for at, _ in activity.points]
    assert sum(flow.changes for _, flow in points) == 1


async def test_filters_choose_a_queue_and_a_type(stage: Stage) -> None:
    moment = await now(stage)
    for number, (queue, type_) in enumerate([("a", "x"), ("a", "y"), ("b", "x")]):
        await add_events(stage, moment, tasks=10**number, queue=queue, type_=type_)
    for _ in range(2):
        assert (await read_activity(stage, queue="a")).total.changes == 11
        assert (await read_activity(stage, type="x")).total.changes == 101
        only = await read_activity(stage, queue="a", type="y")
        assert (only.total.changes, list(only.groups)) == (10, [("a", "y")])
        assert (await read_activity(stage, queue="c")).total.changes == 0
        await settle(stage)


async def test_types_beyond_the_limit_are_counted_together_and_none_is_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.minutes.MOST_TYPES_OF_A_QUEUE", 3)
    moment = await now(stage)
    await add_events(stage, moment, queue="b", type_="z")
    await minutes.roll_up(stage.maintenance_database)
    for number in range(10):
        await add_events(stage, moment, queue="b", type_=f"t{number}")
    await add_events(stage, moment, queue="a", type_="t0")
    await minutes.roll_up(stage.maintenance_database)
    for type_ in ("z", "t0", "t9"):
        await add_events(stage, moment, queue="b", type_=type_)
    await minutes.roll_up(stage.maintenance_database)
    assert counts_of(await read_activity(stage)) == {
        ("a", "t0", "created"): 1,
        ("b", "z", "created"): 2,
        ("b", "t0", "created"): 2,
        ("b", "t1", "created"): 1,
        ("b", "*", "created"): 9,
    }


async def test_all_queues_share_a_limit_of_types_fairly(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.minutes.MOST_TYPES", 4)
    moment = await now(stage)
    for number in range(50):
        await add_events(stage, moment, queue="a", type_=f"t{number}")
    for queue in ("b", "c"):
        await add_events(stage, moment, queue=queue)
    await minutes.roll_up(stage.maintenance_database)
    groups = (await read_activity(stage)).groups
    assert set(groups) == {("a", "*"), ("a", "t0"), ("a", "t1"), ("b", "send"), ("c", "send")}
    assert groups["a", "*"].changes == 48


async def test_the_limit_of_types_holds_for_longer_steps_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.minutes.MOST_TYPES_OF_A_QUEUE", 2)
    past = (await now(stage)).replace(minute=0) - timedelta(hours=3)
    for number in range(6):
        await add_events(stage, past + timedelta(minutes=number), type_=f"t{number}")
    await settle(stage)
    rows = await stage.sql.fetch(
        "SELECT type, created FROM taskmill.task_minute WHERE step_s = 600 ORDER BY type"
    )
    assert [tuple(row) for row in rows] == [("*", 4), ("t0", 1), ("t1", 1)]
    assert await total(stage, "24h") == 6


async def test_the_busiest_types_have_groups_of_their_own(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.storage.minutes._MOST_GROUPS", 2)
    for number in range(4):
        await add_events(stage, await now(stage), type_=f"t{number}", tasks=10**number)
    groups = (await read_activity(stage)).groups
    assert {type_: flow.changes for (_, type_), flow in groups.items()} == {
        "*": 11, "t2": 100, "t3": 1000,
    }  # fmt: skip


async def test_the_rate_of_claims_is_per_second(stage: Stage) -> None:
    moment = await now(stage)
    await add_events(stage, moment, "claimed", seconds=[1.0] * 60)
    await add_events(stage, moment - timedelta(minutes=3), "claimed", seconds=[1.0] * 300)
    await add_events(stage, moment, "claimed", seconds=[1.0] * 90, type_="other")
    await add_events(stage, moment - timedelta(minutes=8), "claimed", seconds=[1.0] * 500)
    await add_events(stage, moment, "created", tasks=500)
    for _ in range(2):
        assert 450 / 361 <= await rate_of(stage, "mail") <= 450 / 300
        assert 360 / 361 <= await rate_of(stage, "mail", "send") <= 360 / 300
        assert await rate_of(stage, "mail", "none") == 0
        assert 60 / 121 <= await rate_of(stage, "mail", "send", over_s=60) <= 60 / 60
        await settle(stage)


async def rate_of(stage: Stage, *kind: str, over_s: float = 300) -> float:
    rate = await claimed_per_second(stage.database, *kind, over_s=over_s)
    assert rate is not None
    return rate


async def test_a_type_that_may_be_among_the_others_has_no_rate(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minutes, "MOST_TYPES_OF_A_QUEUE", 1)
    moment = await now(stage)
    for type_ in ("a", "b"):
        await add_events(stage, moment, "claimed", seconds=[1.0], type_=type_)
    await settle(stage)
    have_rates = [await claimed_per_second(stage.database, "mail", t) is not None for t in "ab"]
    assert sorted(have_rates) == [False, True]
    assert await rate_of(stage, "mail") > 0


async def test_a_time_that_is_missing_or_runs_backwards_stops_no_roll_up(stage: Stage) -> None:
    moment = await now(stage)
    await add_events(stage, moment, "succeeded", tasks=1)
    await stage.sql.execute(
        "UPDATE taskmill.task_minute_delta SET bucket = 0, seconds = NULL WHERE event = 'succeeded'"
    )
    await settle(stage)
    activity = await read_activity(stage)
    assert activity.total.counts[EventType.SUCCEEDED] == 1
    assert activity.total.running.seconds == 0
