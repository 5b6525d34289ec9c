"""Fires schedules: makes the tasks of due ticks, and records what became of each tick, in one transaction.

Whoever fires holds the lock of the schedule, so any number of processes may. Only PostgreSQL's clock counts. When
the result of a COMMIT is lost nothing is repeated: the schedule is read again, and is further or is not.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain.advance import Advance, advance, needs_latest_task, skip_pause
from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import Fire, FireCause, FireOutcome, ScheduleStep, StoredSchedule
from taskmill.domain.schedules.spec import CatchUp
from taskmill.domain.schedules.zones import TZ_VERSION
from taskmill.domain.system import CancelResult
from taskmill.operations import storing
from taskmill.operations.create import TaskCreation
from taskmill.operations.fire_reports import facts_of_tasks, report_cancels, report_fires
from taskmill.operations.ready_schedules import (
    ReadySchedule,
    ScheduleReading,
    report_unreadable,
)
from taskmill.storage import faults, schedules
from taskmill.storage.cancels import cancel_within
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import NewTask
from taskmill.wire.stored_schedules import read_spec

# More ticks than these are left for the next transaction, as after an outage: it must end before its timeout.
_MOST_FIRES: Final = 1_000
_POSTPONED: Final = timedelta(minutes=1)


@dataclass(slots=True, kw_only=True)
class Fired:
    """What a transaction has done, for reports after its commit. Some schedules may be left for the next one."""

    fires: list[tuple[StoredSchedule, Fire]] = field(default_factory=list)
    created: list[NewTask] = field(default_factory=list)
    cancels: list[CancelResult] = field(default_factory=list)
    is_all: bool = True

    def add(self, other: "Fired") -> None:
        """Take in what another part of the same transaction has done."""
        self.fires += other.fires
        self.created += other.created
        self.cancels += other.cancels


class _Plan(NamedTuple):
    """How far a schedule comes. `new` has the tasks to make, by the ticks of `fires` and of the `held` one."""

    ready: ReadySchedule
    step: Advance
    fires: Sequence[Fire]
    held: Fire | None
    new: Mapping[datetime, NewTask]

    @property
    def to_cancel(self) -> UUID | None:
        return self.ready.schedule.last_task_id if self.step.cancels else None


class Firing:
    """Brings schedules up to the present. The caller locks them, commits, and has it reported afterwards."""

    def __init__(self, creation: TaskCreation, reading: ScheduleReading) -> None:
        self._creation = creation
        self._reading = reading

    async def fire(
        self,
        connection: Connection,
        locked: Sequence[StoredSchedule],
        *,
        catch_up: CatchUp | None = None,
    ) -> Fired:
        """Make the tasks of all ticks that are due at the moment at which the schedules were read.

        With `catch_up`, that counts instead of what the schedules say.

        A schedule that can't be read, or whose task is refused, keeps no other one. Those with which too many
        ticks would be recorded at once are left for the next call.
        """
        ready = await _with_latest_tasks(connection, await self._reading.read(locked))
        if catch_up is not None:
            ready = [one._replace(policy=replace(one.policy, catch_up=catch_up)) for one in ready]
        plans, rest = self._plans(ready)
        good = {one.schedule.id for one in (*(plan.ready for plan in plans), *rest)}
        await _postpone(connection, [one for one in locked if one.id not in good])
        fired = await self._store_apart(connection, plans) if plans else Fired()
        fired.is_all = not rest
        return fired

    async def skip_pause(self, connection: Connection, paused: StoredSchedule) -> Fired:
        """Record that the ticks since a locked schedule was paused get no task."""
        try:
            spec, policy = read_spec(paused.content.spec)
        except ValueError as error:
            report_unreadable(paused, error)
            return Fired()
        one = ReadySchedule(schedule=paused, spec=spec, policy=policy, draft=None)
        return await self._store(connection, [self._plan(one, skip_pause(paused, spec))])

    def report(self, fired: Fired) -> None:
        """Count and log what was committed, and notify workers."""
        if fired.created:
            self._creation.report_new(fired.created, facts_of_tasks(fired.fires))
        report_cancels(fired.cancels)
        report_fires(fired.fires)

    def _plans(self, ready: Sequence[ReadySchedule]) -> tuple[list[_Plan], Sequence[ReadySchedule]]:
        """Return plans of the first ones, which record not too many ticks together, and those that are left."""
        plans: list[_Plan] = []
        fires = 0
        for number, one in enumerate(ready):
            try:
                plan = self._plan(one, _advance(one))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one must keep no other one
                report_unreadable(one.schedule, error)
                continue
            fires += len(plan.fires)
            if plans and fires > _MOST_FIRES:
                return plans, ready[number:]
            plans.append(plan)
        return plans, ()

    def _plan(self, one: ReadySchedule, step: Advance) -> _Plan:
        held = _end_of_held(one) if step.ends_held else None
        wanted = [] if held is None else [held]
        wanted += [fire for fire in step.fires if fire.outcome is FireOutcome.CREATED]
        drafts = [] if one.draft is None else [one.draft] * len(wanted)
        made = zip(wanted, self._creation.with_ids(drafts), strict=False)
        new = {fire.tick: task for fire, task in made}
        return _Plan(
            ready=one,
            step=step,
            fires=[_with_task(fire, new) for fire in step.fires],
            held=None if held is None else _with_task(held, new),
            new=new,
        )

    async def _store_apart(self, connection: Connection, plans: Sequence[_Plan]) -> Fired:
        """Store all, or each half by itself when PostgreSQL refuses one of them, and so on."""
        try:
            async with connection.transaction():
                return await self._store(connection, plans)
        except asyncpg.PostgresError as error:
            if not faults.is_item_fault(error):
                raise
            if len(plans) == 1:
                return await self._store_refused(connection, plans[0].ready, error)
        middle = len(plans) // 2
        fired = await self._store_apart(connection, plans[:middle])
        fired.add(await self._store_apart(connection, plans[middle:]))
        return fired

    async def _store_refused(
        self, connection: Connection, one: ReadySchedule, error: asyncpg.PostgresError
    ) -> Fired:
        """Record that PostgreSQL refuses the schedule's task; if it refuses that as well, try again later."""
        if one.problem is not None:
            report_unreadable(one.schedule, error)
            await _postpone(connection, [one.schedule])
            return Fired()
        reason = InvalidInput.at("/task", "a task that can be stored", faults.message(error))
        refused = one.refused(reason)
        return await self._store_apart(connection, [self._plan(refused, _advance(refused))])

    async def _store(self, connection: Connection, plans: Sequence[_Plan]) -> Fired:
        """Store what was planned: first the fires, whose key lets no tick fire twice, then their tasks."""
        to_cancel = [plan.to_cancel for plan in plans if plan.to_cancel is not None]
        cancelled = await cancel_within(connection, to_cancel)
        fires = [(plan, fire) for plan in plans for fire in plan.fires]
        if cancelled:
            fires = [(plan, _with_receipt(fire, plan, cancelled)) for plan, fire in fires]
        held = [(plan, plan.held) for plan in plans if plan.held is not None]
        ended = await schedules.end_held(connection, [fire for _, fire in held])
        held = [one for one in held if _key(one[1]) in ended]
        done = [*held, *await _record(connection, plans, held, fires)]
        new = [plan.new[fire.tick] for plan, fire in done if fire.tick in plan.new]
        return Fired(
            fires=[(plan.ready.schedule, fire) for plan, fire in done],
            created=await storing.store_new(connection, new) if new else [],
            cancels=list(cancelled.values()),
        )


async def _record(
    connection: Connection,
    plans: Sequence[_Plan],
    held: Sequence[tuple[_Plan, Fire]],
    fires: Sequence[tuple[_Plan, Fire]],
) -> Sequence[tuple[_Plan, Fire]]:
    """Record fires, and how far their schedules come with them; return those that are new. `held` have ended."""
    steps = _steps(plans, [*held, *fires])
    new = await schedules.record(connection, [fire for _, fire in fires], steps, TZ_VERSION)
    if new is None:
        return fires
    done = [one for one in fires if _key(one[1]) in new]
    moved = [
        step._replace(schedule=step.schedule._replace(cursor_at=step.cursor_at))
        for step in _steps(plans, [*held, *done])
    ]
    # The latest tasks are others: a tick that has its fire already makes none.
    await schedules.move(connection, moved, TZ_VERSION)
    return done


def _key(fire: Fire) -> tuple[int, datetime]:
    return fire.schedule_id, fire.tick


def _steps(plans: Sequence[_Plan], done: Sequence[tuple[_Plan, Fire]]) -> list[ScheduleStep]:
    latest = {fire.schedule_id: fire.task_id for _, fire in done if fire.task_id is not None}
    return [
        ScheduleStep(
            schedule=(schedule := plan.ready.schedule),
            cursor_at=plan.step.cursor_at,
            next_at=plan.step.next_at,
            held_tick=plan.step.held_tick,
            last_task_id=latest.get(schedule.id, schedule.last_task_id),
        )
        for plan in plans
    ]


def _with_task(fire: Fire, new: Mapping[datetime, NewTask]) -> Fire:
    task = new.get(fire.tick)
    return fire if task is None else fire.with_task(task.id)


def _advance(one: ReadySchedule) -> Advance:
    return advance(one.schedule, one.spec, one.policy, is_busy=one.is_busy, problem=one.problem)


async def _with_latest_tasks(
    connection: Connection, ready: Sequence[ReadySchedule]
) -> list[ReadySchedule]:
    """Return the schedules with whether their latest tasks have not ended, where that matters."""
    latest = {
        task_id
        for one in ready
        if needs_latest_task(one.schedule, one.policy)
        and (task_id := one.schedule.last_task_id) is not None
    }
    if not latest:
        return list(ready)
    unended = await schedules.find_unended(connection, latest)
    return [one._replace(is_busy=one.schedule.last_task_id in unended) for one in ready]


def _end_of_held(one: ReadySchedule) -> Fire:
    schedule = one.schedule
    assert schedule.held_tick is not None  # noqa: S101 - it ends
    return Fire(
        schedule_id=schedule.id,
        tick=schedule.held_tick,
        cause=FireCause.TICK,
        outcome=FireOutcome.CREATED if one.problem is None else FireOutcome.REFUSED,
        problem=one.problem,
    )


def _with_receipt(fire: Fire, plan: _Plan, cancelled: Collection[UUID]) -> Fire:
    """Return a fire with the task that was cancelled for it."""
    if fire.outcome is not FireOutcome.CREATED or plan.to_cancel not in cancelled:
        return fire
    return fire._replace(cancelled_task_id=plan.to_cancel)


async def _postpone(connection: Connection, later: Sequence[StoredSchedule]) -> None:
    """Leave schedules for a minute, so that they keep no others from being fired."""
    await schedules.postpone(connection, [one.id for one in later], _POSTPONED)
