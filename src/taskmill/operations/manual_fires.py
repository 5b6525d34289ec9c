"""Has schedules make tasks by hand: now, or for ticks of the past that made none (a backfill)."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final
from uuid import UUID

from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.domain.errors import IdempotencyConflict, InvalidInput, Unavailable
from taskmill.domain.fires import (
    Fire,
    FireCause,
    FireOutcome,
    StoredSchedule,
)
from taskmill.domain.schedule_errors import ScheduleNotFound
from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.domain.schedules.ticks import moments_between_ticks, ticks_after
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import IdempotencyKey, TaskDraft
from taskmill.operations import storing
from taskmill.operations.audit import AuditLog
from taskmill.operations.create import TaskCreation
from taskmill.operations.firing import Fired, Firing
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.operations.schedule_changes import locked_schedule
from taskmill.operations.stretch_splits import split_stretches, stretches_with
from taskmill.storage import schedules as rows
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import NewTask
from taskmill.wire.stored_schedules import read_spec

_INSTANT: Final = timedelta.resolution
# Ticks are looked at in parts of so many, and so many parts in a request.
_PART: Final = 1_000
_MOST_PARTS: Final = 100
# So many runs of a schedule may be at one moment of PostgreSQL's clock.
_MOST_MOMENTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRequest:
    """Which ticks to make tasks for: those in [since, until] that made none. `priority` is that of the tasks."""

    since: datetime
    until: datetime
    priority: int
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """The ticks for which tasks were made, or would be; `next_since` is where to go on, None at the end."""

    ticks: Sequence[datetime]
    next_since: datetime | None


class ManualFires:
    """Makes tasks of schedules at once. Every method raises `Unavailable` when the database is away."""

    def __init__(
        self,
        database: Database,
        creation: TaskCreation,
        firing: Firing,
        reading: ScheduleReading,
    ) -> None:
        self._database = database
        self._creation = creation
        self._firing = firing
        self._reading = reading
        self._audit = AuditLog(database)

    async def run(
        self, name: str, key: str | None = None, *, owner: str | None = None
    ) -> CreatedTask:
        """Make a task of a schedule now, also of a paused one. With a key, a repeat returns the same task.

        The key is that of `owner`, the name of an API key: it stands for no task that another one made.

        Raises:
            ScheduleNotFound: there is no such schedule.
            InvalidInput, QueueLimitReached, UnservedTypeLimitReached, QuotaExceeded: its task is refused.
            IdempotencyConflict: the key was used for something else.
        """
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(AuditAction.SCHEDULE_RUN, target) as outcome:
            await self._check(name)
            async with self._database.hot_transaction() as connection:
                schedule = await locked_schedule(connection, name)
                wanted = None if key is None else _key(name, key, owner)
                created = await self._run(connection, schedule, wanted)
            if not created.replayed:
                self._creation.report_stored([created])
            outcome.update(task_id=created.task.id, replayed=created.replayed)
        return created

    async def backfill(self, name: str, wanted: BackfillRequest) -> Backfill:
        """Make tasks for ticks that made none, the oldest first, at most as many as a catch-up of it may make.

        Only ticks that the schedule has come past count: what is due is fired anyway. It ends where a quota of its
        owner is reached.

        Raises:
            ScheduleNotFound, InvalidInput, QueueLimitReached, UnservedTypeLimitReached, QuotaExceeded: as for
                `run`.
        """
        if wanted.is_dry_run:
            async with self._database.hot_transaction() as connection:
                schedule = await locked_schedule(connection, name)
                missing, existing = await self._missing(connection, schedule, wanted)
                await stretches_with(connection, schedule, existing.values(), missing.ticks)
                return missing
        details = {"from": wanted.since, "to": wanted.until}
        target = Target(TargetType.SCHEDULE, name)
        async with self._audit.record(
            AuditAction.SCHEDULE_BACKFILL, target, details=details
        ) as outcome:
            await self._check(name)
            async with self._database.hot_transaction() as connection:
                schedule = await locked_schedule(connection, name)
                missing, existing = await self._missing(connection, schedule, wanted)
                found, fired = await self._fill(connection, schedule, missing, existing, wanted)
            self._firing.report(fired)
            outcome["tasks"] = len(fired.created)
        return found

    async def _run(
        self, connection: Connection, schedule: StoredSchedule, key: IdempotencyKey | None
    ) -> CreatedTask:
        draft = await self._draft(schedule)
        draft.idempotency = key
        [new] = self._creation.with_ids((draft,))
        [result] = await storing.store(connection, [new])
        if isinstance(result, IdempotencyConflict):
            raise result
        if not result.replayed:
            await self._record_run(connection, schedule, result)
        return result

    async def _record_run(
        self, connection: Connection, schedule: StoredSchedule, created: CreatedTask
    ) -> None:
        """Record a run. It is no tick, so `overlap` does not look at its task: another one may still run."""
        for moment in _moments(schedule):
            fire = Fire(
                schedule_id=schedule.id,
                tick=moment,
                cause=FireCause.MANUAL,
                outcome=FireOutcome.CREATED,
                task_id=created.task.id,
            )
            if await rows.store_fires(connection, [fire]):
                return
        raise Unavailable(RETRY_AFTER_S, "a moment without a tick")

    async def _check(self, name: str) -> None:
        """Check a schedule's task, and make its queue, before a connection is held for it."""
        schedule = await rows.get(self._database, name)
        if schedule is None:
            raise ScheduleNotFound(name)
        await self._reading.check(name, schedule.content)

    async def _draft(self, schedule: StoredSchedule) -> TaskDraft:
        draft = await self._reading.draft(schedule.name, schedule.content)
        draft.run_at = schedule.moment
        return draft

    async def _missing(
        self, connection: Connection, schedule: StoredSchedule, wanted: BackfillRequest
    ) -> tuple[Backfill, Mapping[datetime, Fire]]:
        """Return the ticks that made no task, and what became of those that have a fire."""
        try:
            spec, policy = read_spec(schedule.content.spec)
        except ValueError:
            raise InvalidInput.at(
                "", "a schedule that this release knows", "one of a later release"
            ) from None
        until = min(wanted.until, schedule.cursor_at)
        ticks = _ticks(spec, wanted.since, until)
        missing: list[datetime] = []
        existing: dict[datetime, Fire] = {}
        part: list[datetime] = []
        for _ in range(_MOST_PARTS):
            part = list(islice(ticks, _PART))
            if part:
                found = await rows.find_fires(connection, schedule.id, part[0], part[-1])
                existing |= {fire.tick: fire for fire in found}
            missing += [tick for tick in part if _is_missing(existing.get(tick))]
            if len(missing) > policy.most:
                return Backfill(
                    ticks=missing[: policy.most], next_since=missing[policy.most]
                ), existing
            if len(part) < _PART:
                return Backfill(ticks=missing, next_since=None), existing
        return Backfill(ticks=missing, next_since=part[-1] + _INSTANT), existing

    async def _fill(
        self,
        connection: Connection,
        schedule: StoredSchedule,
        missing: Backfill,
        existing: Mapping[datetime, Fire],
        wanted: BackfillRequest,
    ) -> tuple[Backfill, Fired]:
        draft = replace(await self._draft(schedule), priority=wanted.priority)
        drafts = [draft] * len(missing.ticks)
        new = dict(zip(missing.ticks, self._creation.with_ids(drafts), strict=True))
        found = await self._within_quotas(missing, new)
        ticks = found.ticks
        if not ticks:
            return found, Fired()
        made = [_backfilled(schedule, tick, new[tick].id) for tick in ticks]
        stretches = await stretches_with(connection, schedule, existing.values(), ticks)
        rests = await split_stretches(connection, stretches, ticks)
        stored = await rows.refill(connection, [one for one in made if one.tick in existing])
        fresh = [one for one in made if one.tick not in existing]
        stored |= await rows.store_fires(connection, [*fresh, *rests])
        done = [one for one in made if (one.schedule_id, one.tick) in stored]
        created = await storing.store_new(connection, [new[one.tick] for one in done])
        return found, Fired(fires=[(schedule, one) for one in done], created=created)

    async def _within_quotas(self, missing: Backfill, new: Mapping[datetime, NewTask]) -> Backfill:
        """Return the ticks up to where a quota is reached. Raises `QuotaExceeded` if that is at the first."""
        refused = await self._creation.waiting.refused(new.values())
        over = next((tick for tick in missing.ticks if new[tick].id in refused), None)
        if over is None:
            return missing
        if over == missing.ticks[0]:
            raise refused[new[over].id]
        return Backfill(ticks=[tick for tick in missing.ticks if tick < over], next_since=over)


def _key(name: str, key: str, owner: str | None) -> IdempotencyKey:
    """Return the key of a run: the same one of another schedule is another key."""
    request_hash = hashlib.sha256(f"run {name}".encode()).digest()
    return IdempotencyKey(key=f"{name}:{key}", request_hash=request_hash, owner=owner)


def _moments(schedule: StoredSchedule) -> Iterator[datetime]:
    """Yield the moments that may stand for a run: no ticks, of which each has a fire of its own, now or later."""
    try:
        spec, _ = read_spec(schedule.content.spec)
    except ValueError:
        # A later release stored it: nobody here knows its ticks.
        return iter((schedule.moment,))
    return islice(moments_between_ticks(spec, schedule.moment), _MOST_MOMENTS)


def _ticks(spec: ScheduleSpec, since: datetime, until: datetime) -> Iterator[datetime]:
    for tick in ticks_after(spec, since - _INSTANT):
        if tick.at > until:
            return
        if not tick.skipped_gap:
            yield tick.at


def _is_missing(fire: Fire | None) -> bool:
    return fire is None or (fire.task_id is None and fire.outcome is not FireOutcome.HELD)


def _backfilled(schedule: StoredSchedule, tick: datetime, task_id: UUID) -> Fire:
    return Fire(
        schedule_id=schedule.id,
        tick=tick,
        cause=FireCause.BACKFILL,
        outcome=FireOutcome.CREATED,
        task_id=task_id,
    )
