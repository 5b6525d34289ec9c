"""The next ticks of a schedule, with its zone's offsets, and the clock changes on the way."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from taskmill.domain.schedules.spec import ClockNote, ScheduleSpec
from taskmill.domain.schedules.ticks import Tick, ticks_after
from taskmill.domain.schedules.zones import ClockChange, changes_in, offset_at, zone_of

DEFAULT_COUNT: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedTick:
    """A tick with its local time, which has the zone's offset. Its `note` is None on nearly all days."""

    tick: Tick
    local: datetime
    note: ClockNote | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The next ticks of a schedule, ascending, and the clock changes after `after` and until the last of them."""

    ticks: tuple[PreviewedTick, ...]
    changes: tuple[ClockChange, ...]


def preview(spec: ScheduleSpec, after: datetime, count: int = DEFAULT_COUNT) -> Preview:
    """Return the next ticks after a moment, fewer than `count` if the schedule ends."""
    ticks = tuple(_previewed(spec, tick) for tick in islice(ticks_after(spec, after), count))
    changes = clock_changes(spec.zone, after, ticks[-1].tick.at) if ticks else ()
    return Preview(ticks=ticks, changes=changes)


def clock_changes(zone: str, after: datetime, until: datetime) -> tuple[ClockChange, ...]:
    """Return the clock changes of a zone in (after, until], ascending."""
    years = range(after.astimezone(UTC).year, until.astimezone(UTC).year + 1)
    return tuple(
        change for year in years for change in changes_in(zone, year) if after < change.at <= until
    )


def _previewed(spec: ScheduleSpec, tick: Tick) -> PreviewedTick:
    return PreviewedTick(
        tick=tick, local=tick.at.astimezone(zone_of(spec.zone)), note=_note(spec.zone, tick)
    )


def _note(zone_name: str, tick: Tick) -> ClockNote | None:
    if tick.skipped_gap:
        return ClockNote.SKIPPED_GAP
    if tick.after_gap:
        return ClockNote.AFTER_GAP
    zone = zone_of(zone_name)
    local = tick.at.astimezone(zone)
    first, last = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    if first == last:
        return None
    return ClockNote.FOLD_LAST if offset_at(zone, tick.at) == last else ClockNote.FOLD_FIRST
