"""Ticks are those of a walk over every minute of UTC under the stated rules, and those of the library."""

from datetime import datetime, timedelta
from itertools import islice, takewhile

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import HealthCheck, assume, example, given, reject, settings, strategies as st

from taskmill.domain.schedules.spec import END_OF_TICKS, Fold, Gap, ScheduleSpec
from taskmill.domain.schedules.ticks import Tick, count_ticks, ticks_after, ticks_until
from taskmill.domain.schedules.zones import changes_in, zone_names, zone_of
from tests.support.tick_walk import MINUTE, Cron, Field, Walk, crons, fields, utc

INSTANT = timedelta.resolution
ZONES = sorted(zone_names())
# Half an hour; two hours; at midnight; a day that never was; negative DST; offsets of 45 minutes.
ODD_ZONES = (
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "America/Santiago",
    "Pacific/Apia",
    "Europe/Dublin",
    "Pacific/Chatham",
    "Africa/Casablanca",
    "Asia/Gaza",
    "Europe/Berlin",
)
zones = st.one_of(st.sampled_from(ODD_ZONES), st.sampled_from(ZONES))
folds = st.sampled_from(Fold)


@st.composite
def starts(draw: st.DrawFn, zone: str) -> datetime:
    """A moment shortly before a clock change, if the zone has any in the year; else any."""
    year = draw(st.integers(2005, 2035))
    changes = changes_in(zone, year)
    is_near = draw(st.sampled_from([True, True, True, False]))
    if changes and is_near:
        change = draw(st.sampled_from(changes)).at
        return change - MINUTE * draw(st.integers(0, 500))
    return utc(year, 1, 1) + MINUTE * draw(st.integers(0, 365 * 1440))


def ticks_in(spec: ScheduleSpec, start: datetime, end: datetime) -> list[Tick]:
    return list(takewhile(lambda tick: tick.at < end, ticks_after(spec, start - INSTANT)))


def assert_as_walked(walk: Walk, zone: str, cron: Cron, fold: Fold, gap: Gap) -> None:
    spec = ScheduleSpec(cron=cron.text, zone=zone, fold=fold, gap=gap)
    walked = [
        Tick(at=at, after_gap=is_gap, skipped_gap=is_gap and gap is Gap.SKIP)
        for at, is_gap in walk.ticks(cron, fold)
    ]
    assert ticks_in(spec, walk.start, walk.end) == walked, (cron.text, zone, fold)


@settings(suppress_health_check=list(HealthCheck), max_examples=30)
@given(data=st.data(), zone=zones, cron=crons(), fold=folds, gap=st.sampled_from(Gap))
def test_ticks_are_those_of_a_walk_over_all_minutes(
    data: st.DataObject, zone: str, cron: Cron, fold: Fold, gap: Gap
) -> None:
    start = data.draw(starts(zone))
    walk = Walk(zone_of(zone), start, start + timedelta(hours=10))
    assert_as_walked(walk, zone, cron, fold, gap)


@pytest.mark.parametrize("zone", ODD_ZONES)
@settings(suppress_health_check=list(HealthCheck), max_examples=1)
@given(some=st.lists(crons(), min_size=12, max_size=12))
def test_ticks_are_those_of_a_walk_over_five_years_of_odd_zones(
    zone: str, some: list[Cron]
) -> None:
    years = range(2010, 2015) if zone == "Pacific/Apia" else range(2024, 2029)
    for change in (change for year in years for change in changes_in(zone, year)):
        walk = Walk(zone_of(zone), change.at - timedelta(days=1), change.at + timedelta(days=1))
        for cron in some:
            for fold in Fold:
                assert_as_walked(walk, zone, cron, fold, Gap.END)


@pytest.mark.parametrize("part", range(8))
@settings(suppress_health_check=list(HealthCheck), max_examples=1)
@given(some=st.lists(crons(), min_size=5, max_size=5))
def test_ticks_are_those_of_a_walk_around_all_clock_changes_of_five_years_of_all_zones(
    part: int, some: list[Cron]
) -> None:
    for zone in ZONES[part::8]:
        for change in (one for year in range(2022, 2027) for one in changes_in(zone, year)):
            walk = Walk(
                zone_of(zone), change.at - timedelta(hours=7), change.at + timedelta(hours=7)
            )
            for cron in some:
                for fold in Fold:
                    assert_as_walked(walk, zone, cron, fold, Gap.END)


@settings(suppress_health_check=list(HealthCheck), max_examples=50)
@given(
    data=st.data(),
    zone=zones,
    cron=crons(),
    fold=folds,
    lengths=st.tuples(st.integers(0, 5000), st.integers(0, 200_000)),
)
def test_ticks_backwards_and_their_number_are_those_forwards(
    data: st.DataObject, zone: str, cron: Cron, fold: Fold, lengths: tuple[int, int]
) -> None:
    start = data.draw(starts(zone)) + timedelta(seconds=lengths[0] % 61)
    end = start + timedelta(seconds=lengths[1], microseconds=lengths[0])
    spec = ScheduleSpec(cron=cron.text, zone=zone, fold=fold)
    forwards = ticks_in(spec, start + INSTANT, end + INSTANT)
    assert [*ticks_until(spec, start, end)] == forwards[::-1]
    assert count_ticks(spec, start, end) == len(forwards)


_days = st.sampled_from(["*", "1", "31", "29,30", "*/10", "L", "LW", "1-7", "*/31"])
_weekdays = st.sampled_from(["*", "0", "7", "MON-FRI", "5#1", "MON#5", "5L", "*/2", "sun"])
_months = st.sampled_from(["*", "2", "*/3", "jan,DEC", "4-6"])


@settings(max_examples=50)
@given(
    seconds=st.one_of(st.none(), fields(0, 59)),
    minutes=fields(0, 59),
    hours=fields(0, 23),
    dates=st.tuples(_days, _months, _weekdays),
    start=st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001 - hypothesis wants it so
)
def test_ticks_in_utc_are_those_of_the_library(
    seconds: Field | None,
    minutes: Field,
    hours: Field,
    dates: tuple[str, str, str],
    start: datetime,
) -> None:
    after = start.replace(tzinfo=utc(2000, 1, 1).tzinfo)
    times = [field.text for field in (seconds, minutes, hours) if field is not None]
    text = " ".join((*times, *dates))
    try:
        library = CronSim(text, after)
    except CronSimError:
        reject()
    expected = list(islice(library, 20))
    found = [tick.at for tick in islice(ticks_after(ScheduleSpec(cron=text), after), 20)]
    assert found[: len(expected)] == [at for at in expected if at < END_OF_TICKS]


@settings(suppress_health_check=list(HealthCheck), max_examples=50)
@given(
    data=st.data(),
    zone=zones,
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=5),
)
@example(data=None, zone="Australia/Lord_Howe", minutes={15}, hours={2})
def test_fixed_times_of_the_day_are_those_of_the_library_in_every_zone(
    data: st.DataObject | None, zone: str, minutes: set[int], hours: set[int]
) -> None:
    after = utc(2026, 10, 1) if data is None else data.draw(starts(zone))
    text = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    local = after.astimezone(zone_of(zone))
    assume(local.fold == 0)  # else the library begins with the first pass, before that moment
    library = CronSim(text, local)
    expected = list(islice((at.astimezone(after.tzinfo) for at in library), 12))
    found = islice(ticks_after(ScheduleSpec(cron=text, zone=zone), after), 12)
    assert [tick.at for tick in found] == expected
