from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice, pairwise
from time import process_time

import pytest

from taskmill.domain.schedules.spec import END_OF_TICKS, FIRST_TICK, Fold, Gap, ScheduleSpec
from taskmill.domain.schedules.ticks import (
    Tick,
    count_ticks,
    due_at,
    moments_between_ticks,
    next_tick,
    ticks_after,
    ticks_until,
)
from taskmill.domain.schedules.zones import zone_of
from tests.support.tick_walk import utc


def local(spec: ScheduleSpec, after: datetime, count: int = 3) -> list[str]:
    """The next ticks as local times with their offsets, skipped ones in brackets."""
    return [
        f"({shown})" if tick.skipped_gap else shown
        for tick in islice(ticks_after(spec, after), count)
        for shown in [tick.at.astimezone(zone_of(spec.zone)).strftime("%m-%d %H:%M%z")]
    ]


NIGHTLY = "30 2 * * *"


@pytest.mark.parametrize(
    ("zone", "before", "end", "skipped"),
    [
        ("Europe/Berlin", utc(2026, 3, 28, 20), "03-29 03:00+0200", "(03-29 03:00+0200)"),
        ("America/New_York", utc(2026, 3, 7, 20), "03-08 03:00-0400", "(03-08 03:00-0400)"),
        ("Antarctica/Troll", utc(2026, 3, 28, 20), "03-29 03:00+0200", "(03-29 03:00+0200)"),
    ],
)
def test_a_time_in_a_gap_has_one_tick_at_its_end_or_is_skipped(
    zone: str, before: datetime, end: str, skipped: str
) -> None:
    assert local(ScheduleSpec(cron=NIGHTLY, zone=zone), before, 1) == [end]
    skips = ScheduleSpec(cron=NIGHTLY, zone=zone, gap=Gap.SKIP)
    assert local(skips, before, 1) == [skipped]
    assert next_tick(skips, before) == Tick(
        at=datetime.strptime(f"2026-{end}", "%Y-%m-%d %H:%M%z").astimezone(UTC),
        after_gap=True,
        skipped_gap=True,
    )


@pytest.mark.parametrize(
    ("zone", "before", "cron", "first", "last"),
    [
        ("Europe/Berlin", utc(2026, 10, 24, 20), NIGHTLY, "10-25 02:30+0200", "10-25 02:30+0100"),
        (
            "Australia/Lord_Howe",
            utc(2026, 4, 4, 10),
            "45 1 * * *",
            "04-05 01:45+1100",
            "04-05 01:45+1030",
        ),
        (
            "Pacific/Chatham",
            utc(2026, 4, 4, 10),
            "0 3 * * *",
            "04-05 03:00+1345",
            "04-05 03:00+1245",
        ),
        (
            "America/Santiago",
            utc(2026, 4, 4, 20),
            "30 23 * * *",
            "04-04 23:30-0300",
            "04-04 23:30-0400",
        ),
    ],
)
def test_a_time_in_a_fold_has_its_tick_the_first_time_the_last_or_both(
    zone: str, before: datetime, cron: str, first: str, last: str
) -> None:
    expected = {Fold.FIRST: [first], Fold.LAST: [last], Fold.BOTH: [first, last]}
    for fold, ticks in expected.items():
        spec = ScheduleSpec(cron=cron, zone=zone, fold=fold)
        next_day = before + timedelta(days=1)
        assert [at for at in local(spec, before) if at[:5] == first[:5]] == ticks
        assert count_ticks(spec, before, next_day) == len(ticks)


def test_many_times_in_a_fold_come_once_unless_both_are_wanted() -> None:
    before = utc(2026, 10, 24, 20)
    every_20 = ScheduleSpec(cron="*/20 2 * * *", zone="Europe/Berlin")
    assert local(every_20, before) == ["10-25 02:00+0200", "10-25 02:20+0200", "10-25 02:40+0200"]
    both = ScheduleSpec(cron="*/20 2 * * *", zone="Europe/Berlin", fold=Fold.BOTH)
    assert local(both, before, 6)[3:] == [
        "10-25 02:00+0100",
        "10-25 02:20+0100",
        "10-25 02:40+0100",
    ]


def test_a_tick_in_the_second_pass_is_found_from_within_the_first() -> None:
    spec = ScheduleSpec(cron=NIGHTLY, zone="Europe/Berlin", fold=Fold.LAST)
    assert local(spec, utc(2026, 10, 25, 0, 45), 1) == ["10-25 02:30+0100"]


def test_many_times_in_a_gap_have_one_tick() -> None:
    spec = ScheduleSpec(cron="*/20 2 * * *", zone="Europe/Berlin")
    before = utc(2026, 3, 28, 20)
    assert local(spec, before, 2) == ["03-29 03:00+0200", "03-30 02:00+0200"]


def test_a_tick_of_its_own_at_the_end_of_a_gap_is_not_a_skipped_one() -> None:
    spec = ScheduleSpec(cron="0 2,3 * * *", zone="Europe/Berlin", gap=Gap.SKIP)
    assert local(spec, utc(2026, 3, 28, 20), 2) == ["03-29 03:00+0200", "03-30 02:00+0200"]


def test_a_tick_at_the_end_of_a_gap_is_found_from_the_moment_before() -> None:
    spec = ScheduleSpec(cron=NIGHTLY, zone="Europe/Berlin")
    end = utc(2026, 3, 29, 1)
    assert next_tick(spec, end - timedelta.resolution) == Tick(at=end, after_gap=True)
    assert [*ticks_until(spec, end - timedelta.resolution, end)] == [Tick(at=end, after_gap=True)]
    seconds = ScheduleSpec(cron="1 0 2,3 * * *", zone="Europe/Berlin")
    found = [*islice(ticks_after(seconds, end - timedelta(hours=1)), 2)]
    assert found == [Tick(at=end, after_gap=True), Tick(at=end + timedelta(seconds=1))]


def test_a_gap_without_a_time_of_the_schedule_gives_no_tick() -> None:
    spec = ScheduleSpec(cron="0 1,4 * * *", zone="Europe/Berlin")
    assert local(spec, utc(2026, 3, 28, 20), 2) == ["03-29 01:00+0100", "03-29 04:00+0200"]


def test_a_part_of_the_times_in_a_gap_of_half_an_hour_is_left_out() -> None:
    spec = ScheduleSpec(cron="10,40 2 * * *", zone="Australia/Lord_Howe")
    assert local(spec, utc(2026, 10, 3, 12), 2) == ["10-04 02:30+1100", "10-04 02:40+1100"]


@pytest.mark.parametrize("gap", Gap)
@pytest.mark.parametrize("fold", Fold)
def test_what_matches_every_hour_keeps_its_cadence(gap: Gap, fold: Fold) -> None:
    for cron, minutes in (("*/15 * * * *", 15), ("0 */1 * * *", 60), ("30 0-23 * * *", 60)):
        spec = ScheduleSpec(cron=cron, zone="Europe/Berlin", gap=gap, fold=fold)
        for before in (utc(2026, 3, 28, 20), utc(2026, 10, 24, 20)):
            ticks = [tick.at for tick in islice(ticks_after(spec, before), 40)]
            distances = {b - a for a, b in pairwise(ticks)}
            assert distances == {timedelta(minutes=minutes)}


def test_a_day_that_never_was_has_one_tick_at_the_next_midnight() -> None:
    # Samoa had no 30 December 2011.
    spec = ScheduleSpec(cron="0 9,12 * * *", zone="Pacific/Apia")
    assert local(spec, utc(2011, 12, 30, 3), 3) == [
        "12-31 00:00+1400",
        "12-31 09:00+1400",
        "12-31 12:00+1400",
    ]


def test_midnight_that_never_was_comes_at_the_end_of_the_gap() -> None:
    spec = ScheduleSpec(cron="@daily", zone="America/Santiago")
    assert local(spec, utc(2026, 9, 5, 12), 2) == ["09-06 01:00-0300", "09-07 00:00-0300"]


def test_a_fold_in_the_last_hour_of_a_year_is_not_overlooked() -> None:
    # Bangladesh put its clocks back at the end of 2009, for the last time.
    spec = ScheduleSpec(cron="30 23 * * *", zone="Asia/Dhaka", fold=Fold.BOTH)
    assert local(spec, utc(2009, 12, 31), 3) == [
        "12-31 23:30+0700",
        "12-31 23:30+0600",
        "01-01 23:30+0600",
    ]


def test_seconds_come_first_in_six_fields() -> None:
    spec = ScheduleSpec(cron="15,45 30 2 * * *")
    ticks = [tick.at for tick in islice(ticks_after(spec, utc(2026, 1, 1)), 3)]
    assert ticks[0] == utc(2026, 1, 1, 2, 30) + timedelta(seconds=15)
    assert [b - a for a, b in pairwise(ticks)] == [
        timedelta(seconds=30),
        timedelta(seconds=86370),
    ]


def test_ticks_are_strictly_after_a_moment() -> None:
    spec = ScheduleSpec(cron="* * * * *")
    at = utc(2026, 1, 1, 12)
    resolution = timedelta.resolution
    assert next_tick(spec, at) == Tick(at=at + timedelta(minutes=1))
    assert next_tick(spec, at - resolution) == Tick(at=at)
    assert [*ticks_until(spec, at - resolution, at)] == [Tick(at=at)]
    assert [*ticks_until(spec, at, at)] == []
    assert [*ticks_until(spec, at, at - timedelta(hours=1))] == []
    assert count_ticks(spec, at, at - timedelta(hours=1)) == 0


def test_a_moment_may_have_any_offset() -> None:
    spec = ScheduleSpec(cron="@hourly")
    at = datetime(2026, 1, 1, 3, 30, tzinfo=timezone(timedelta(hours=3)))
    assert next_tick(spec, at) == Tick(at=utc(2026, 1, 1, 1))
    assert next_tick(spec, at) is not None
    assert count_ticks(spec, at, at + timedelta(hours=2)) == 2


def test_intervals_are_counted_from_their_anchor_in_both_directions() -> None:
    every = ScheduleSpec(every=timedelta(minutes=25), anchor=utc(2026, 1, 1, 12))
    ticks = [tick.at for tick in islice(ticks_after(every, utc(2026, 1, 1, 11, 20)), 3)]
    assert ticks == [utc(2026, 1, 1, 11, 35), utc(2026, 1, 1, 12), utc(2026, 1, 1, 12, 25)]
    until = list(ticks_until(every, utc(2026, 1, 1, 11, 35), utc(2026, 1, 1, 12, 25)))
    assert [tick.at for tick in until] == [utc(2026, 1, 1, 12, 25), utc(2026, 1, 1, 12)]
    assert count_ticks(every, utc(2026, 1, 1, 11, 35), utc(2026, 1, 1, 12, 25)) == 2
    elsewhere = replace(every, anchor=datetime(2026, 1, 1, 15, tzinfo=timezone(timedelta(hours=3))))
    found = list(islice(ticks_after(elsewhere, utc(2026, 1, 1, 11, 20)), 3))
    assert [tick.at for tick in found] == ticks
    assert all(tick.at.tzinfo is UTC for tick in found)


def test_intervals_without_an_anchor_are_counted_from_a_monday() -> None:
    assert next_tick(ScheduleSpec(every=timedelta(minutes=15)), utc(2026, 1, 1, 3, 7)) == Tick(
        at=utc(2026, 1, 1, 3, 15)
    )
    weekly = next_tick(ScheduleSpec(every=timedelta(days=7)), utc(2026, 1, 1))
    assert weekly is not None
    assert f"{weekly.at:%A %H:%M}" == "Monday 00:00"


def test_moments_between_ticks_are_no_ticks() -> None:
    instant = timedelta(microseconds=1)
    start = utc(2026, 1, 1)
    spec = ScheduleSpec(at=(start, start + instant, start + 3 * instant))
    found = list(islice(moments_between_ticks(spec, start), 3))
    assert [(moment - start) // instant for moment in found] == [2, 4, 5]
    before = list(islice(moments_between_ticks(spec, start - instant), 2))
    assert [(moment - start) // instant for moment in before] == [-1, 2]


def test_listed_times_come_once_each() -> None:
    times = (utc(2026, 1, 1), utc(2026, 5, 1), utc(2027, 1, 1))
    spec = ScheduleSpec(at=times)
    assert [tick.at for tick in ticks_after(spec, utc(2026, 1, 1))] == [*times[1:]]
    assert [tick.at for tick in ticks_until(spec, utc(2025, 1, 1), utc(2026, 5, 1))] == [
        times[1],
        times[0],
    ]
    assert count_ticks(spec, utc(2025, 1, 1), utc(2026, 5, 1)) == 2
    assert next_tick(spec, times[-1]) is None
    assert all(tick.at.tzinfo is UTC for tick in ticks_after(spec, utc(2025, 1, 1)))


@pytest.mark.parametrize(
    "kind",
    [{"cron": "@daily"}, {"every": timedelta(days=1)}, {"at": (utc(2026, 1, 2), utc(2026, 1, 3))}],
)
def test_ticks_are_from_the_start_on_and_before_the_end(kind: dict[str, object]) -> None:
    start, end = utc(2026, 1, 2), utc(2026, 1, 3)
    spec = ScheduleSpec(**kind, starts_at=start, ends_at=end)  # type: ignore[arg-type]
    assert [*ticks_after(spec, utc(2020, 1, 1))] == [Tick(at=start)]
    assert count_ticks(spec, utc(2020, 1, 1), utc(2030, 1, 1)) == 1
    assert next_tick(spec, start) is None


def test_no_tick_is_outside_of_the_times_that_tasks_may_have() -> None:
    yearly = ScheduleSpec(cron="@yearly")
    assert next_tick(yearly, utc(1970, 1, 1)) == Tick(at=FIRST_TICK)
    assert next_tick(yearly, utc(2099, 12, 31)) == Tick(at=utc(2100, 1, 1))
    assert next_tick(yearly, utc(2100, 1, 1)) is None
    assert next_tick(yearly, END_OF_TICKS + timedelta(days=4000)) is None


@pytest.mark.parametrize(
    ("cron", "after"),
    [
        ("0 0 29 2 */7", utc(2072, 3, 1)),  # a Sunday: the next one would be in 2112
        ("0 0 29 2 */7", utc(2032, 3, 1)),
        ("0 0 */30 * MON#5", utc(2026, 1, 1)),
        ("0 0 */30 * MON#2", utc(2000, 1, 1)),  # never
        ("59 59 23 31 12 *", utc(2026, 1, 1)),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Gaza", "Africa/Casablanca"])
def test_no_search_for_a_tick_costs_much(cron: str, after: datetime, zone: str) -> None:
    began = process_time()
    next_tick(ScheduleSpec(cron=cron, zone=zone), after)
    next(ticks_until(ScheduleSpec(cron=cron, zone=zone), FIRST_TICK, after), None)
    assert process_time() - began < 0.5  # measured 2026-11-30: 0.04


def test_jitter_delays_a_tick_always_alike_and_within_its_bound() -> None:
    spec = ScheduleSpec(cron="* * * * *", jitter_s=30)
    ticks = list(islice(ticks_after(spec, utc(2026, 1, 1)), 200))
    delays = [(due_at("report", spec, tick) - tick.at).total_seconds() for tick in ticks]
    assert delays == [(due_at("report", spec, tick) - tick.at).total_seconds() for tick in ticks]
    assert all(0 <= delay < 30 for delay in delays)
    assert len(set(delays)) > 190
    assert 10 < sum(delays) / len(delays) < 20
    assert delays != [(due_at("other", spec, tick) - tick.at).total_seconds() for tick in ticks]


def test_jitter_is_the_same_in_all_releases_and_on_all_machines() -> None:
    spec = ScheduleSpec(cron="* * * * *", jitter_s=30)
    for zone in (UTC, timezone(timedelta(hours=3))):
        tick = Tick(at=utc(2026, 1, 1).astimezone(zone))
        assert (due_at("report", spec, tick) - tick.at).total_seconds() == 16.625095


def test_without_jitter_a_tick_is_due_at_its_time() -> None:
    tick = Tick(at=utc(2026, 1, 1))
    assert due_at("report", ScheduleSpec(cron="@daily"), tick) == tick.at
