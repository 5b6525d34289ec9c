"""The ticks of a schedule: the moments at which it makes a task.

Local times follow these rules:

- A cron expression that names hours asks for times of the day. All of them that a clock change leaves out give one
  tick at the end of the gap, or one that is skipped (`gap`). A time that comes twice gives a tick the first time,
  the last time, or both times (`fold`).
- A cron expression that matches every hour asks for a cadence: it has a tick whenever the local time matches, and
  `gap` and `fold` change nothing.
- `every` and `at` are about elapsed and absolute time: no clock change touches them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from taskmill.domain.schedules.pieces import Piece, pieces_of
from taskmill.domain.schedules.spec import (
    DEFAULT_ANCHOR,
    END_OF_TICKS,
    FIRST_TICK,
    Fold,
    Gap,
    ScheduleSpec,
)
from taskmill.domain.schedules.wall_times import WallTimes, wall_times

_INSTANT: Final = timedelta.resolution
_HASH_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Tick:
    """A moment (UTC) at which a schedule makes a task, unless it is `skipped_gap`.

    One that is `after_gap` stands for the times of the day that a clock change has just left out.
    """

    at: datetime
    after_gap: bool = False
    skipped_gap: bool = False


def ticks_after(spec: ScheduleSpec, after: datetime) -> Iterator[Tick]:
    """Yield the ticks after a moment, ascending, from `FIRST_TICK` until `END_OF_TICKS`."""
    return _ticks(spec, after + _INSTANT, END_OF_TICKS, newest_first=False)


def ticks_until(spec: ScheduleSpec, after: datetime, until: datetime) -> Iterator[Tick]:
    """Yield the ticks in (after, until], the newest first."""
    return _ticks(spec, after + _INSTANT, until + _INSTANT, newest_first=True)


def next_tick(spec: ScheduleSpec, after: datetime) -> Tick | None:
    """Return the first tick after a moment."""
    return next(ticks_after(spec, after), None)


@lru_cache(maxsize=4096)
def next_two_ticks(spec: ScheduleSpec, after: datetime) -> tuple[Tick | None, Tick | None]:
    """Return the first two ticks after a moment.

    Many schedules have the same spec and have come as far: all that are due at midnight. So it is remembered.
    """
    ticks = ticks_after(spec, after)
    return next(ticks, None), next(ticks, None)


def moments_between_ticks(spec: ScheduleSpec, start: datetime) -> Iterator[datetime]:
    """Yield moments that are no ticks, from one on, a microsecond apart."""
    moment = start
    for tick in ticks_after(spec, start - _INSTANT):
        while moment < tick.at:
            yield moment
            moment += _INSTANT
        moment = tick.at + _INSTANT
    while True:
        yield moment
        moment += _INSTANT


def count_ticks(spec: ScheduleSpec, after: datetime, until: datetime) -> int:
    """Return how many ticks are in (after, until], skipped ones included. Costs a microsecond for each day."""
    start, end = _bounds(spec, after + _INSTANT, until + _INSTANT)
    if spec.cron is not None:
        return _count_cron(spec, wall_times(spec.cron), start, end)
    if spec.every is not None:
        return len(_interval_numbers(spec, spec.every, start, end))
    return sum(start <= at < end for at in spec.at)


def due_at(name: str, spec: ScheduleSpec, tick: Tick) -> datetime:
    """Return when a tick is due: up to `jitter_s` later, always the same for this name of a schedule and tick."""
    if not spec.jitter_s:
        return tick.at
    seed = f"{name} {tick.at.astimezone(UTC).isoformat()}".encode()
    share = int.from_bytes(blake2b(seed, digest_size=_HASH_BYTES).digest()) / 2 ** (8 * _HASH_BYTES)
    return tick.at + timedelta(seconds=spec.jitter_s * share)


def _bounds(spec: ScheduleSpec, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    start = max(start, FIRST_TICK if spec.starts_at is None else spec.starts_at)
    end = min(end, END_OF_TICKS if spec.ends_at is None else spec.ends_at)
    return start.astimezone(UTC), end.astimezone(UTC)


def _ticks(
    spec: ScheduleSpec, start: datetime, end: datetime, *, newest_first: bool
) -> Iterator[Tick]:
    start, end = _bounds(spec, start, end)
    if spec.cron is not None:
        walls = wall_times(spec.cron)
        return _cron_ticks(spec, walls, start, end, newest_first=newest_first)
    if spec.every is not None:
        return _interval_ticks(spec, spec.every, start, end, newest_first=newest_first)
    at = reversed(spec.at) if newest_first else spec.at
    return (Tick(at=moment.astimezone(UTC)) for moment in at if start <= moment < end)


def _interval_ticks(
    spec: ScheduleSpec, every: timedelta, start: datetime, end: datetime, *, newest_first: bool
) -> Iterator[Tick]:
    numbers = _interval_numbers(spec, every, start, end)
    anchor = (spec.anchor or DEFAULT_ANCHOR).astimezone(UTC)
    for number in reversed(numbers) if newest_first else numbers:
        yield Tick(at=anchor + every * number)


def _interval_numbers(
    spec: ScheduleSpec, every: timedelta, start: datetime, end: datetime
) -> range:
    """Return the numbers of the intervals, counted from the anchor, that begin in [start, end)."""
    anchor = spec.anchor or DEFAULT_ANCHOR
    return range(-((anchor - start) // every), -((anchor - end) // every))


def _cron_ticks(
    spec: ScheduleSpec, walls: WallTimes, start: datetime, end: datetime, *, newest_first: bool
) -> Iterator[Tick]:
    for piece in _pieces(spec, walls, start, end, newest_first=newest_first):
        gap_tick = _gap_tick(spec, walls, piece, start)
        if gap_tick is not None and not newest_first:
            yield gap_tick
        for wall in walls.between(*_walls_of(piece, start, end), newest_first=newest_first):
            yield Tick(at=wall.replace(tzinfo=UTC) - piece.offset)
        if gap_tick is not None and newest_first:
            yield gap_tick


def _count_cron(spec: ScheduleSpec, walls: WallTimes, start: datetime, end: datetime) -> int:
    return sum(
        walls.count(*_walls_of(piece, start, end))
        + (_gap_tick(spec, walls, piece, start) is not None)
        for piece in _pieces(spec, walls, start, end)
    )


def _pieces(
    spec: ScheduleSpec,
    walls: WallTimes,
    start: datetime,
    end: datetime,
    *,
    newest_first: bool = False,
) -> Iterator[Piece]:
    """Yield what the zone has of [start, end)."""
    if start >= end:
        return
    fold = Fold.BOTH if walls.has_every_hour else spec.fold
    years = range(start.year, (end - _INSTANT).year + 1)
    for year in reversed(years) if newest_first else years:
        pieces = pieces_of(spec.zone, year, fold)
        for piece in reversed(pieces) if newest_first else pieces:
            if piece.start < end and piece.end > start:
                yield piece


def _walls_of(piece: Piece, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return the local times of what a piece has of [start, end)."""
    first = max(piece.start, start).replace(tzinfo=None) + piece.offset
    return first, min(piece.end, end).replace(tzinfo=None) + piece.offset


def _gap_tick(spec: ScheduleSpec, walls: WallTimes, piece: Piece, start: datetime) -> Tick | None:
    """Return the tick at the beginning of a piece that stands for all times in the gap before it."""
    gap = piece.gap
    if gap is None or walls.has_every_hour or piece.start < start:
        return None
    if not walls.has_any(gap.local_start, gap.local_end):
        return None
    if walls.has_any(gap.local_end, gap.local_end + timedelta(seconds=1)):
        return None  # it has a tick of its own then
    return Tick(at=piece.start, after_gap=True, skipped_gap=spec.gap is Gap.SKIP)
