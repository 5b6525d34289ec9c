"""A year of a zone as pieces of one offset, without what `fold` leaves out of repeated local times."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from taskmill.domain.schedules.spec import Fold
from taskmill.domain.schedules.zones import ClockChange, changes_in, offset_at, zone_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """In [start, end) a zone is `offset` ahead of UTC; `gap` is the change at `start`, if it left out time."""

    start: datetime
    end: datetime
    offset: timedelta
    gap: ClockChange | None


@lru_cache(maxsize=4096)
def pieces_of(zone: str, year: int, fold: Fold) -> tuple[Piece, ...]:
    """Return a year of UTC in pieces, ascending."""
    start, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    changes = (
        *changes_in(zone, year - 1)[-1:],
        *changes_in(zone, year),
        *changes_in(zone, year + 1)[:1],
    )
    offset = offset_at(zone_of(zone), start)
    made = (
        _piece(Piece(start=start, end=end, offset=offset, gap=None), before, after, fold)
        for before, after in pairwise((None, *changes, None))
    )
    return tuple(piece for piece in made if piece.start < piece.end)


def _piece(year: Piece, before: ClockChange | None, after: ClockChange | None, fold: Fold) -> Piece:
    """Return what the year has between two changes."""
    start, end, offset, gap = year.start, year.end, year.offset, None
    if after is not None:
        end, offset = min(end, _end_before(after, fold)), after.before
    if before is not None:
        start, offset = max(start, _start_after(before, fold)), before.after
        gap = before if before.is_gap and before.at == start else None
    return Piece(start=start, end=end, offset=offset, gap=gap)


def _start_after(change: ClockChange, fold: Fold) -> datetime:
    leaves_out = fold is Fold.FIRST and not change.is_gap
    return change.at + change.size if leaves_out else change.at


def _end_before(change: ClockChange, fold: Fold) -> datetime:
    leaves_out = fold is Fold.LAST and not change.is_gap
    return change.at - change.size if leaves_out else change.at
