"""What a missed tick is, and what becomes of the ticks that are due.

A tick is missed when it is due for more than a minute and nobody has looked, since maintenance or the database was
away. As long as the oldest due tick is not, each gets a task: a short stop loses nothing. Else the policy decides
about all that are due, so that none of them comes in a flood.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, NamedTuple, assert_never

from taskmill.domain.schedules.spec import CatchUp, ScheduleSpec, TickPolicy
from taskmill.domain.schedules.ticks import (
    Tick,
    count_ticks,
    due_at,
    next_tick,
    ticks_until,
)

ON_TIME: Final = timedelta(minutes=1)
"""A tick that is due for at most so long is on time."""

_INSTANT: Final = timedelta.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedTicks:
    """Ticks that get no task, one after another: `count` of them, from `first` to `last`."""

    first: datetime
    last: datetime
    count: int


class DueTicks(NamedTuple):
    """What becomes of the due ticks after a schedule's cursor: each is in `fired`, or in one of `skipped`.

    Both are ascending. A fired tick that is `skipped_gap` gets no task, either. `cursor_at` is that of the last
    one, or as it was when none is due.
    """

    fired: tuple[Tick, ...]
    skipped: tuple[SkippedTicks, ...]
    cursor_at: datetime


def missed(
    spec: ScheduleSpec, cursor_at: datetime, now: datetime, policy: TickPolicy, *, name: str = ""
) -> DueTicks:
    """Decide about the ticks after `cursor_at` that are due at `now`; jitter depends on the schedule's `name`.

    `now` before `cursor_at` is a clock that jumped back: none is due.
    """
    until = _last_due(name, spec, cursor_at, now)
    if until is None:
        return DueTicks(fired=(), skipped=(), cursor_at=cursor_at)
    fired = tuple(reversed(_fired(name, spec, cursor_at, until, now=now, policy=policy)))
    skipped = tuple(_between(spec, cursor_at, fired, until))
    return DueTicks(fired=fired, skipped=skipped, cursor_at=until)


def _last_due(name: str, spec: ScheduleSpec, cursor_at: datetime, now: datetime) -> datetime | None:
    ticks = ticks_until(spec, cursor_at, now)
    return next((tick.at for tick in ticks if due_at(name, spec, tick) <= now), None)


def _fired(
    name: str,
    spec: ScheduleSpec,
    cursor_at: datetime,
    until: datetime,
    *,
    now: datetime,
    policy: TickPolicy,
) -> list[Tick]:
    """Return the ticks that get a task, the newest first."""
    ticks = ticks_until(spec, cursor_at, until)
    oldest = next_tick(spec, cursor_at)
    if oldest is not None and now - due_at(name, spec, oldest) <= ON_TIME:
        return list(ticks)
    within, most = _allowed(policy)
    jitter = timedelta(seconds=spec.jitter_s)
    recent = ticks_until(spec, max(cursor_at, now - within - jitter - _INSTANT), until)
    late = (tick for tick in recent if now - due_at(name, spec, tick) <= within)
    return list(islice((tick for tick in late if not tick.skipped_gap), most))


def _allowed(policy: TickPolicy) -> tuple[timedelta, int]:
    """Return how late a missed tick may be to get a task, and how many of them may."""
    match policy.catch_up:
        case CatchUp.NONE:
            return ON_TIME, 1
        case CatchUp.LATEST:
            return policy.within, 1
        case CatchUp.ALL:
            return policy.within, policy.most
        case _:
            assert_never(policy.catch_up)


def _between(
    spec: ScheduleSpec, cursor_at: datetime, fired: tuple[Tick, ...], until: datetime
) -> Iterator[SkippedTicks]:
    """Yield what is between the fired ticks, and after the last of them."""
    after = cursor_at
    for end in (*(tick.at - _INSTANT for tick in fired), until):
        skipped = skipped_ticks(spec, after, end)
        if skipped is not None:
            yield skipped
        after = end + _INSTANT


def skipped_ticks(spec: ScheduleSpec, after: datetime, until: datetime) -> SkippedTicks | None:
    """Return the ticks in (after, until] as skipped ones; None if there is none."""
    last = next(ticks_until(spec, after, until), None)
    first = next_tick(spec, after)
    if first is None or last is None:
        return None
    return SkippedTicks(first=first.at, last=last.at, count=count_ticks(spec, after, until))
