"""What the client returns of `taskmill.wire.explanations`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from taskmill.client.view import View
from taskmill.domain.lifecycle import Status

if TYPE_CHECKING:
    from taskmill.domain.blockers import BlockerName, BlockerState
    from taskmill.domain.fires import FireCause

IMPORTED_LATER = {
    "BlockerName": "taskmill.domain.blockers",
    "BlockerState": "taskmill.domain.blockers",
    "FireCause": "taskmill.domain.fires",
}


class TaskTickView(View):
    """The tick for which a schedule made a task."""

    name: str
    """of the schedule"""
    tick: datetime
    """when it was; of a `manual` one when it was asked for"""
    cause: FireCause
    """`tick`: it was due; `catch_up`: it had been missed; `backfill` and `manual`: it was asked for"""
    deleted: bool
    """whether the schedule was deleted since"""


class BlockerView(View):
    """Something that can keep a task where it is, and whether it does."""

    blocker: BlockerName
    state: BlockerState
    """holds: it keeps the task; passed: it does not; not_reached: an earlier one decides"""
    sentence: str
    """the fact in words, which may change"""
    todo: str | None
    """what to do, in words, where there is something to do"""
    facts: dict[str, Any]
    """the fact in fields; which ones depends on the blocker"""


class ExplanationView(View):
    """Why a task is where it is."""

    task_id: UUID
    status: Status
    at: datetime
    """the moment of all facts, by the database's clock"""
    blocker: BlockerName
    """the first blocker that holds; there always is one"""
    summary: str
    """the sentence of that blocker"""
    todo: str
    """what to do about that blocker"""
    blockers: list[BlockerView]
    """all blockers, in the order in which they are met"""
    schedule: TaskTickView | None = None
    """the tick of a schedule that made the task; null when none did, or that is no longer kept"""
