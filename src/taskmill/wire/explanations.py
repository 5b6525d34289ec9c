"""The shape of an explanation: why a task is where it is, blocker by blocker."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.blockers import Blocker, BlockerName, BlockerState
from taskmill.domain.explanation import Explanation
from taskmill.domain.fires import FireCause, TaskTick
from taskmill.domain.lifecycle import Status
from taskmill.wire.basics import format_timestamp
from taskmill.wire.encoding import encode_json, fields_of
from taskmill.wire.fields import Timestamp


class BlockerView(BaseModel):
    """Something that can keep a task where it is, and whether it does."""

    blocker: BlockerName
    state: BlockerState = Field(
        description="holds: it keeps the task; passed: it does not; not_reached: an earlier one decides"
    )
    sentence: str = Field(description="the fact in words, which may change")
    todo: str | None = Field(description="what to do, in words, where there is something to do")
    facts: dict[str, Any] = Field(
        description="the fact in fields; which ones depends on the blocker"
    )


class TaskTickView(BaseModel):
    """The tick for which a schedule made a task."""

    name: str = Field(description="of the schedule")
    tick: Timestamp = Field(description="when it was; of a `manual` one when it was asked for")
    cause: FireCause = Field(
        description="`tick`: it was due; `catch_up`: it had been missed; `backfill` and `manual`: it was asked for"
    )
    deleted: bool = Field(description="whether the schedule was deleted since")


class ExplanationView(BaseModel):
    """Why a task is where it is."""

    task_id: UUID
    status: Status
    at: Timestamp = Field(description="the moment of all facts, by the database's clock")
    blocker: BlockerName = Field(description="the first blocker that holds; there always is one")
    summary: str = Field(description="the sentence of that blocker")
    todo: str = Field(description="what to do about that blocker")
    blockers: list[BlockerView] = Field(
        description="all blockers, in the order in which they are met"
    )
    schedule: TaskTickView | None = Field(
        default=None,
        description="the tick of a schedule that made the task; null when none did, or that is no longer kept",
    )


def explanation_json(explanation: Explanation) -> bytes:
    """Return an explanation as an `ExplanationView` in JSON."""
    holding = explanation.holding
    return encode_json(
        fields_of(
            ExplanationView,
            explanation,
            blocker=holding.name,
            summary=holding.sentence,
            todo=holding.todo,
            blockers=[_blocker(blocker) for blocker in explanation.blockers],
            schedule=None if explanation.tick is None else _tick(explanation.tick),
        )
    )


def _blocker(blocker: Blocker) -> dict[str, object]:
    return fields_of(BlockerView, blocker, blocker=blocker.name, facts=_rendered(blocker.facts))


def _tick(tick: TaskTick) -> dict[str, object]:
    return fields_of(TaskTickView, tick, name=tick.schedule, deleted=tick.queue is None)


def _rendered(value: object) -> object:
    """Format the times in a value, however deep they are."""
    match value:
        case datetime():
            return format_timestamp(value)
        case Mapping():
            return {name: _rendered(part) for name, part in value.items()}
        case list():
            return [_rendered(part) for part in value]
        case _:
            return value
