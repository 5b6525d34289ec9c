"""What the client returns of `taskmill.wire.failure_samples`, which this is generated from."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from taskmill.client.view import View
from taskmill.client.views.failures import CountOf

if TYPE_CHECKING:
    from taskmill.domain.json_diff import Presence

IMPORTED_LATER = {"Presence": "taskmill.domain.json_diff"}


class DifferenceView(View):
    """A place where the payload of the example is not that of the task that succeeded."""

    pointer: str
    """a JSON pointer; empty for all of it"""
    presence: Presence
    """`only_here`: only the example has it; `only_there`: only the other; `other`: they differ"""
    here: str | None
    """what the example has, as JSON of up to 300 characters"""
    there: str | None
    """what the task has that succeeded, likewise"""


class FailedTaskView(View):
    """A task that is still failed in this way."""

    id: UUID
    queue: str
    type: str
    message: str
    """of its error; in the list the first 1,000 characters"""
    worker: str | None
    """the worker of its last attempt, if there was one"""
    version: str | None
    """the worker's version of Taskmill, known for a day after that has ended"""
    finished_at: datetime | None


class FailureExampleView(View):
    """One of the tasks, beside the newest one of its type that succeeded. What is secret is masked in both."""

    task: FailedTaskView
    number: int
    """its number among the tasks, from 1, the newest"""
    newer_id: UUID | None
    """the example before it"""
    older_id: UUID | None
    """the next example"""
    success_id: UUID | None
    """the task that succeeded; null if none was found"""
    differences: list[DifferenceView] | None
    """where the payloads differ, up to 100 places; null if there are not two payloads"""
    is_cut: bool
    """there are more differences"""


class LabelShare(View):
    """A label that tasks which failed have much more often."""

    key: str
    value: str
    failed: float
    """its share among the tasks that failed, from 0 to 1"""
    succeeded: float
    """its share among those that succeeded"""


class FailureSampleView(View):
    """What the newest tasks that are still failed in this way have in common: a sample, so never exact."""

    tasks: list[FailedTaskView]
    """the newest, up to 200 in all"""
    messages: list[CountOf]
    """the most frequent ones, with # for numbers and ids"""
    workers: list[CountOf]
    """the most frequent ones"""
    versions: list[CountOf]
    """the most frequent ones"""
    labels: list[LabelShare]
    """those that stand out, the most striking first"""
    succeeded: int
    """how many of the newest tasks of these types that succeeded are compared with, up to 200"""
    example: FailureExampleView | None
    """null if no task is still failed so"""
