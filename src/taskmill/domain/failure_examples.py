"""An example of a kind of failures, beside a task of its type that succeeded. It is a value, and finds nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from taskmill.domain.failure_samples import FailedTask
from taskmill.domain.json_diff import Presence
from taskmill.domain.task import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDifference:
    """A difference of two payloads: the beginnings of the values as JSON, None where there is none."""

    pointer: str
    presence: Presence
    here: str | None
    there: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureExample:
    """A task that failed so, as its reader may see it, its number among the examples, and those beside it.

    `success` is the newest task of its type that succeeded; `differences` are between the payloads, None if they
    can't be compared, and not all of them if they are cut.
    """

    task: Task
    failed: FailedTask
    number: int
    newer: UUID | None
    older: UUID | None
    success: Task | None
    differences: Sequence[ShownDifference] | None
    is_cut: bool
