"""Stretches of skipped ticks that are split: no tick is lost, and none is there twice."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, strategies

from taskmill.domain.fires import Fire, FireCause, FireOutcome
from taskmill.domain.schedules.spec import Gap, ScheduleSpec
from taskmill.domain.schedules.ticks import ticks_after
from taskmill.domain.skipped_stretches import lies_in, split_stretch

START = datetime(2030, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERY_MINUTE = ScheduleSpec(every=MINUTE)


def a_stretch(ticks: int, start: datetime = START) -> Fire:
    return Fire(
        schedule_id=7,
        tick=start,
        until_tick=start + MINUTE * (ticks - 1),
        ticks=ticks,
        cause=FireCause.TICK,
        outcome=FireOutcome.SKIPPED_MISSED,
        at=START,
    )


def ticks_of(fire: Fire, spec: ScheduleSpec = EVERY_MINUTE) -> list[datetime]:
    """The ticks of a fire, whose number it must have."""
    end = fire.until_tick or fire.tick
    found = []
    for tick in ticks_after(spec, fire.tick - timedelta.resolution):
        if tick.at > end:
            break
        found.append(tick.at)
    assert len(found) == fire.ticks
    return found


@given(
    ticks=strategies.integers(2, 40),
    # Also half minutes, which are no ticks, and what lies outside.
    taken=strategies.sets(strategies.integers(-4, 84)),
)
def test_each_tick_is_taken_or_in_one_part(ticks: int, taken: set[int]) -> None:
    stretch = a_stretch(ticks)
    moments = {START + MINUTE * half / 2 for half in taken}
    parts = split_stretch(stretch, EVERY_MINUTE, moments)
    left = [tick for part in parts for tick in ticks_of(part)]
    assert left == [tick for tick in ticks_of(stretch) if tick not in moments]
    for part in parts:
        assert not any(lies_in(part, moment) for moment in moments)
        assert (part.until_tick is None) == (part.ticks == 1)
        assert (part.outcome, part.cause, part.at) == (stretch.outcome, stretch.cause, None)


def test_a_tick_that_a_clock_change_leaves_out_stays_in_a_part_between_filled_ones() -> None:
    spec = ScheduleSpec(cron="30 2 * * *", zone="Europe/Berlin", gap=Gap.SKIP)
    days = [tick.at for tick in islice(ticks_after(spec, datetime(2030, 3, 30, tzinfo=UTC)), 3)]
    stretch = Fire(
        schedule_id=7,
        tick=days[0],
        until_tick=days[2],
        ticks=3,
        cause=FireCause.TICK,
        outcome=FireOutcome.SKIPPED_MISSED,
    )
    [part] = split_stretch(stretch, spec, [days[0], days[2]])
    assert (part.tick, part.until_tick, part.ticks) == (days[1], None, 1)


@pytest.mark.parametrize("offset_s", [0, 30])
def test_the_first_part_begins_where_the_stretch_did_whatever_its_zone_says_now(
    offset_s: int,
) -> None:
    stretch = a_stretch(4, START + timedelta(seconds=offset_s))
    head, *rest = split_stretch(stretch, EVERY_MINUTE, [START + 2 * MINUTE])
    assert head.tick == stretch.tick
    assert sum(part.ticks for part in (head, *rest)) == 3
