"""Schedules as pages show them: when they fire next, what became of their ticks, and what needs attention."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from itertools import islice
from typing import Final
from uuid import UUID

import orjson

from taskmill.dashboard.schedule_words import LocalText, SpecText, local_text, spec_text
from taskmill.dashboard.view import View
from taskmill.dashboard.wording import Words
from taskmill.domain.errors import InvalidInput
from taskmill.domain.fires import Fire, StoredSchedule
from taskmill.domain.lifecycle import Status
from taskmill.domain.schedule_days import SKIPPED
from taskmill.domain.schedule_health import (
    Cadence,
    ScheduleTrouble,
    cadence,
    latest_tick,
    troubles,
)
from taskmill.domain.schedules.preview import PreviewedTick, preview
from taskmill.domain.schedules.rules import spec_violations
from taskmill.domain.schedules.spec import ClockNote, ScheduleSpec, TickPolicy
from taskmill.domain.schedules.zones import zone_of
from taskmill.operations import schedule_reports
from taskmill.wire.stored_schedules import read_spec

_MOST_ERRORS: Final = 3


class Condition(StrEnum):
    """The condition of a schedule. It has ended when it has no more ticks; SQL may only have asked for it."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"
    REQUESTED = "requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTick:
    """A moment in a schedule's zone; `note` is what a clock change has to do with it."""

    at: datetime
    local: LocalText
    note: ClockNote | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFire:
    """What became of a tick: the status of its task, the task that was `cancelled` for it, why there is none.

    Tasks that may not be seen, or are no longer stored, are None.
    """

    fire: Fire
    tick: ShownTick
    until: ShownTick | None
    status: Status | None
    cancelled: UUID | None
    why: str | None

    @property
    def is_skipped(self) -> bool:
        """Whether its ticks made no task, though none was refused."""
        return self.fire.outcome in SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSchedule:
    """A schedule; `spec` and what follows from it is None where a later release has stored it.

    `next_ticks` are those to come; of a paused one if it went on now. `skipped` counts ticks of its latest fires
    that made no task. `refusal` is why what SQL has asked for was refused.
    """

    schedule: StoredSchedule
    spec: ScheduleSpec | None
    policy: TickPolicy | None
    text: SpecText | None
    condition: Condition
    next_ticks: Sequence[ShownTick]
    last: ShownFire | None
    cadence: Cadence | None
    skipped: int
    troubles: Sequence[ScheduleTrouble]
    refusal: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was read about schedules: the latest fires of each by its id, and the statuses of tasks."""

    fires: Mapping[int, Sequence[Fire]]
    statuses: Mapping[UUID, Status]


async def shown_schedules(
    view: View, schedules: Collection[StoredSchedule], next_ticks: int = 1
) -> list[ShownSchedule]:
    """Return schedules as they are shown, with so many of their next ticks."""
    database, words = view.context.service.database, view.words
    fires = await schedule_reports.recent_fires(database, schedules)
    last = [one for found in fires.values() if (one := latest_tick(found)) is not None]
    known = Known(fires=fires, statuses=await schedule_reports.visible_statuses(database, last))
    # Rare ticks may be decades apart: 30 ms the first time that a zone is asked for (measured 2026-11-30).
    return await view.offload.run(
        lambda: [_shown(words, one, known, next_ticks) for one in schedules]
    )


async def shown_fires(
    view: View, schedule: StoredSchedule, fires: Sequence[Fire]
) -> list[ShownFire]:
    """Return what became of ticks of a schedule as it is shown, in the same order."""
    database = view.context.service.database
    statuses = await schedule_reports.visible_statuses(database, fires)
    zone = zone_for(schedule)
    return [_fire(view.words, zone, fire, statuses) for fire in fires]


def zone_for(schedule: StoredSchedule) -> tzinfo:
    """Return the zone of a schedule; UTC where a later release has stored it."""
    spec = spec_of(schedule)[0]
    return UTC if spec is None else zone_of(spec.zone)


def spec_of(schedule: StoredSchedule) -> tuple[ScheduleSpec | None, TickPolicy | None]:
    """Return what a schedule says; None for both where a later release has stored it, or SQL asks for nonsense."""
    try:
        spec, policy = read_spec(schedule.content.spec)
    except ValueError:
        return None, None
    if not schedule.revision and spec_violations(spec):
        return None, None
    return spec, policy


def require_readable(schedule: StoredSchedule) -> tuple[ScheduleSpec, TickPolicy]:
    """Return what a schedule says.

    Raises:
        InvalidInput: A later release has stored it, or it is not there yet.
    """
    if not schedule.revision:
        raise InvalidInput.at("", "a schedule that is there", "one that SQL has only asked for")
    spec, policy = spec_of(schedule)
    if spec is None or policy is None:
        raise InvalidInput.at("", "a schedule that this release knows", "one of a later release")
    return spec, policy


def shown_ticks(words: Words, ticks: Sequence[PreviewedTick]) -> list[ShownTick]:
    """Return ticks as they are shown."""
    return [
        ShownTick(at=one.tick.at, local=local_text(words, one.local), note=one.note)
        for one in ticks
    ]


def _shown(words: Words, schedule: StoredSchedule, known: Known, next_ticks: int) -> ShownSchedule:
    spec, policy = spec_of(schedule)
    zone = UTC if spec is None else zone_of(spec.zone)
    fires = known.fires.get(schedule.id, ())
    last = latest_tick(fires)
    has_ticks = spec is not None and schedule.revision > 0
    ticks = _next_ticks(words, schedule, spec, next_ticks) if spec and has_ticks else []
    return ShownSchedule(
        schedule=schedule,
        spec=spec,
        policy=policy,
        text=None if spec is None else spec_text(words, spec),
        condition=_condition(schedule, has_ticks=bool(ticks) or spec is None),
        next_ticks=ticks,
        last=None if last is None else _fire(words, zone, last, known.statuses),
        cadence=cadence(schedule, fires),
        skipped=sum(fire.ticks for fire in fires if fire.outcome in SKIPPED),
        troubles=troubles(schedule, fires, is_readable=spec is not None),
        refusal=_refusal(schedule),
    )


def _next_ticks(
    words: Words, schedule: StoredSchedule, spec: ScheduleSpec, count: int
) -> list[ShownTick]:
    """Return the ticks to come; those of a paused one are after now, as it would begin with these."""
    after = schedule.cursor_at
    if schedule.paused_at is not None:
        after = max(after, schedule.moment)
    return shown_ticks(words, preview(spec, after, count).ticks)


def _condition(schedule: StoredSchedule, *, has_ticks: bool) -> Condition:
    if not schedule.revision:
        return Condition.REQUESTED
    if schedule.paused_at is not None:
        return Condition.PAUSED
    return Condition.ACTIVE if has_ticks or schedule.held_tick is not None else Condition.ENDED


def _fire(words: Words, zone: tzinfo, fire: Fire, statuses: Mapping[UUID, Status]) -> ShownFire:
    return ShownFire(
        fire=fire,
        tick=shown_moment(words, zone, fire.tick),
        until=None if fire.until_tick is None else shown_moment(words, zone, fire.until_tick),
        status=None if fire.task_id is None else statuses.get(fire.task_id),
        cancelled=fire.cancelled_task_id if fire.cancelled_task_id in statuses else None,
        why=None if fire.problem is None else _why(fire.problem),
    )


def shown_moment(words: Words, zone: tzinfo, at: datetime) -> ShownTick:
    """Return a moment in a schedule's zone."""
    return ShownTick(at=at, local=local_text(words, at.astimezone(zone)))


def _refusal(schedule: StoredSchedule) -> str | None:
    request = schedule.request
    return None if request is None or request.problem is None else _why(request.problem)


def _why(problem: str) -> str:
    """Return what a problem says, in English; what is wrong with the template rather than that something is."""
    found = orjson.loads(problem)
    errors = [
        f"{one.get('pointer') or '/'} expected {one.get('expected')}, got {one.get('got')}"
        for one in islice(found.get("errors") or (), _MOST_ERRORS)
    ]
    return "; ".join(errors) or str(found.get("detail") or found.get("title") or "")
