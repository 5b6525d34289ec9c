"""Splits a stretch of skipped ticks, which is one fire, where some moments in it get a fire of their own."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from taskmill.domain.fires import Fire
from taskmill.domain.schedules.missed import SkippedTicks, skipped_ticks
from taskmill.domain.schedules.spec import ScheduleSpec

_INSTANT: Final = timedelta.resolution


def lies_in(stretch: Fire, moment: datetime) -> bool:
    """Return whether a moment lies in a stretch, its first and last ticks included."""
    return stretch.until_tick is not None and stretch.tick <= moment <= stretch.until_tick


def split_stretch(stretch: Fire, spec: ScheduleSpec, taken: Iterable[datetime]) -> list[Fire]:
    """Return what is left of a stretch between the moments that are taken, in order; none overlap.

    `spec` is the one of the stretch, of which the moments need be no ticks. The stretch's own first tick begins
    the first of them unless it is taken.
    """
    until = stretch.until_tick or stretch.tick
    inside = sorted(moment for moment in set(taken) if lies_in(stretch, moment))
    bounds = [stretch.tick - _INSTANT, *inside, until + _INSTANT]
    parts = [
        part
        for after, before in pairwise(bounds)
        if (part := skipped_ticks(spec, after, before - _INSTANT)) is not None
    ]
    return [_part(stretch, part) for part in _with_head(stretch, inside, parts)]


def _with_head(
    stretch: Fire, inside: list[datetime], parts: list[SkippedTicks]
) -> Iterator[SkippedTicks]:
    """Yield the parts, the first of which begins with the stretch's own tick, also by other rules of its zone."""
    first = stretch.tick
    if stretch.tick not in inside and not (parts and parts[0].first == first):
        yield SkippedTicks(first=first, last=first, count=1)
    yield from parts


def _part(stretch: Fire, part: SkippedTicks) -> Fire:
    until = part.last if part.count > 1 else None
    return stretch._replace(tick=part.first, until_tick=until, ticks=part.count, at=None)
