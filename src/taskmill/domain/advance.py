"""Decides how far a schedule comes by a moment: what becomes of each due tick, and when to look again.

It stores nothing and makes no task. When ticks are, and which are missed, is in `domain/schedules`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, assert_never

from taskmill.domain.fires import HOLD_POLL, Fire, FireCause, FireOutcome, StoredSchedule
from taskmill.domain.schedules.missed import ON_TIME, DueTicks, SkippedTicks, missed
from taskmill.domain.schedules.spec import Overlap, ScheduleSpec, TickPolicy
from taskmill.domain.schedules.ticks import Tick, due_at, next_tick, next_two_ticks


class Advance(NamedTuple):
    """How far a schedule comes. A named tuple, as in `fires`.

    Of `fires` those that are `created` have no task yet: one is to be made for each. With `ends_held` one is to be
    made for the held tick, before them, or it is refused like them. With `cancels` the latest task is asked to
    cancel.
    """

    fires: tuple[Fire, ...]
    cursor_at: datetime
    next_at: datetime | None
    held_tick: datetime | None
    ends_held: bool = False
    cancels: bool = False


def needs_latest_task(schedule: StoredSchedule, policy: TickPolicy) -> bool:
    """Return whether it matters here that the schedule's latest task has not ended."""
    return policy.overlap is not Overlap.ALLOW or schedule.held_tick is not None


def advance(
    schedule: StoredSchedule,
    spec: ScheduleSpec,
    policy: TickPolicy,
    *,
    is_busy: bool = False,
    problem: str | None = None,
) -> Advance:
    """Return how far it comes by the moment at which it was read.

    `is_busy` is whether its latest task has not ended. A `problem` is why it can make no task: then each tick that
    would is refused, with that.
    """
    due, following = _due(schedule, spec, policy)
    ends_held = schedule.held_tick is not None and not is_busy
    deciding = _Deciding(
        schedule=schedule,
        spec=spec,
        overlap=policy.overlap,
        problem=problem,
        newest=_newest(due) if policy.overlap is Overlap.CANCEL_RUNNING else None,
        is_busy=is_busy or (ends_held and problem is None),
        held_tick=None if ends_held else schedule.held_tick,
    )
    fires = tuple(map(deciding.fire, _in_order(due)))
    return Advance(
        fires=fires,
        cursor_at=due.cursor_at,
        next_at=_look_at(
            schedule.name,
            spec,
            following,
            held_until=None if deciding.held_tick is None else schedule.moment + HOLD_POLL,
        ),
        held_tick=deciding.held_tick,
        ends_held=ends_held,
        cancels=deciding.cancels,
    )


def skip_pause(schedule: StoredSchedule, spec: ScheduleSpec) -> Advance:
    """Return how far a paused schedule comes when it goes on: ticks that were due meanwhile get no task."""
    nothing = TickPolicy(within=timedelta(0))
    due = missed(spec, schedule.cursor_at, schedule.moment, nothing, name=schedule.name)
    stretch = _whole(due)
    fires = () if stretch is None else (_skipped(schedule, stretch, FireOutcome.SKIPPED_PAUSED),)
    return Advance(
        fires=fires,
        cursor_at=due.cursor_at,
        next_at=next_look(schedule.name, spec, due.cursor_at, held_until=schedule.held_until),
        held_tick=schedule.held_tick,
    )


def next_look(
    name: str, spec: ScheduleSpec, cursor_at: datetime, *, held_until: datetime | None = None
) -> datetime | None:
    """Return when there is next something to do, None when there are no more ticks, and none is held."""
    return _look_at(name, spec, next_tick(spec, cursor_at), held_until=held_until)


def _look_at(
    name: str, spec: ScheduleSpec, tick: Tick | None, *, held_until: datetime | None
) -> datetime | None:
    tick_at = None if tick is None else due_at(name, spec, tick)
    if tick_at is None or held_until is None:
        return tick_at or held_until
    return min(tick_at, held_until)


def settled_until(name: str, spec: ScheduleSpec, cursor_at: datetime, moment: datetime) -> datetime:
    """Return up to when all is done if nothing is due: the moment, or before a tick that its jitter delays."""
    tick = next_tick(spec, cursor_at)
    if tick is not None and tick.at <= moment < due_at(name, spec, tick):
        return max(cursor_at, tick.at - timedelta.resolution)
    return max(cursor_at, moment)


@dataclass(slots=True, kw_only=True)
class _Deciding:
    """Decides about ticks one after another; what became of the earlier ones counts for the later ones."""

    schedule: StoredSchedule
    spec: ScheduleSpec
    overlap: Overlap
    problem: str | None
    newest: Tick | None
    is_busy: bool
    held_tick: datetime | None
    cancels: bool = field(default=False)

    def fire(self, due: Tick | SkippedTicks) -> Fire:
        if isinstance(due, SkippedTicks):
            return _skipped(self.schedule, due, FireOutcome.SKIPPED_MISSED)
        outcome = FireOutcome.SKIPPED_GAP if due.skipped_gap else self._outcome(due)
        late = self.schedule.moment - due_at(self.schedule.name, self.spec, due)
        return Fire(
            schedule_id=self.schedule.id,
            tick=due.at,
            cause=FireCause.TICK if late <= ON_TIME else FireCause.CATCH_UP,
            outcome=outcome,
            problem=self.problem if outcome is FireOutcome.REFUSED else None,
        )

    def _outcome(self, tick: Tick) -> FireOutcome:
        outcome = self._wanted(tick)
        if outcome is not FireOutcome.CREATED:
            return outcome
        if self.problem is not None:
            return FireOutcome.REFUSED
        self.cancels = self.is_busy and self.overlap is Overlap.CANCEL_RUNNING
        self.is_busy = True
        return outcome

    def _wanted(self, tick: Tick) -> FireOutcome:
        match self.overlap:
            case Overlap.ALLOW:
                return FireOutcome.CREATED
            case Overlap.SKIP:
                return FireOutcome.SKIPPED_OVERLAP if self.is_busy else FireOutcome.CREATED
            case Overlap.HOLD_ONE:
                return self._held_or_created(tick)
            case Overlap.CANCEL_RUNNING:
                # A task that would be cancelled as soon as it is made is not made.
                is_newest = tick == self.newest
                return FireOutcome.CREATED if is_newest else FireOutcome.SKIPPED_OVERLAP
            case _:
                assert_never(self.overlap)

    def _held_or_created(self, tick: Tick) -> FireOutcome:
        if not self.is_busy:
            return FireOutcome.CREATED
        if self.held_tick is not None:
            return FireOutcome.SKIPPED_OVERLAP
        self.held_tick = tick.at
        return FireOutcome.HELD


def _due(
    schedule: StoredSchedule, spec: ScheduleSpec, policy: TickPolicy
) -> tuple[DueTicks, Tick | None]:
    """Return what `missed` says, and the tick after that.

    It is quicker where a single tick is due in time, as nearly always.
    """
    name, cursor_at, moment = schedule.name, schedule.cursor_at, schedule.moment
    first, second = next_two_ticks(spec, cursor_at)
    is_on_time = first is not None and timedelta(0) <= moment - due_at(name, spec, first) <= ON_TIME
    if first is not None and is_on_time and not _is_due(name, spec, second, moment):
        return DueTicks(fired=(first,), skipped=(), cursor_at=first.at), second
    due = missed(spec, cursor_at, moment, policy, name=name)
    return due, next_tick(spec, due.cursor_at)


def _is_due(name: str, spec: ScheduleSpec, tick: Tick | None, moment: datetime) -> bool:
    return tick is not None and due_at(name, spec, tick) <= moment


def _newest(due: DueTicks) -> Tick | None:
    return next((tick for tick in reversed(due.fired) if not tick.skipped_gap), None)


def _in_order(due: DueTicks) -> Iterator[Tick | SkippedTicks]:
    if not due.skipped:
        return iter(due.fired)
    ticks: list[Tick | SkippedTicks] = [*due.fired, *due.skipped]
    return iter(sorted(ticks, key=_start))


def _start(due: Tick | SkippedTicks) -> datetime:
    return due.at if isinstance(due, Tick) else due.first


def _whole(due: DueTicks) -> SkippedTicks | None:
    """Return all due ticks as one stretch."""
    parts = [
        SkippedTicks(first=one.at, last=one.at, count=1) if isinstance(one, Tick) else one
        for one in _in_order(due)
    ]
    if not parts:
        return None
    count = sum(part.count for part in parts)
    return SkippedTicks(first=parts[0].first, last=parts[-1].last, count=count)


def _skipped(schedule: StoredSchedule, ticks: SkippedTicks, outcome: FireOutcome) -> Fire:
    return Fire(
        schedule_id=schedule.id,
        tick=ticks.first,
        until_tick=ticks.last if ticks.count > 1 else None,
        ticks=ticks.count,
        cause=FireCause.TICK,
        outcome=outcome,
    )
