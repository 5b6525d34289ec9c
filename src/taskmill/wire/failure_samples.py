"""The shapes of what the newest tasks of a kind of failures have in common, and of one of them as an example."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from pydantic import BaseModel, Field

from taskmill.domain.failure_examples import FailureExample
from taskmill.domain.failure_samples import FailedTask, FailureSample
from taskmill.domain.json_diff import Presence
from taskmill.wire.encoding import encode_json, fields_of, format_optional
from taskmill.wire.failures import CountOf
from taskmill.wire.fields import Timestamp

_LONGEST_IN_LIST: Final = 1_000


class FailedTaskView(BaseModel):
    """A task that is still failed in this way."""

    id: UUID
    queue: str
    type: str
    message: str = Field(description="of its error; in the list the first 1,000 characters")
    worker: str | None = Field(description="the worker of its last attempt, if there was one")
    version: str | None = Field(
        description="the worker's version of Taskmill, known for a day after that has ended"
    )
    finished_at: Timestamp | None


class LabelShare(BaseModel):
    """A label that tasks which failed have much more often."""

    key: str
    value: str
    failed: float = Field(description="its share among the tasks that failed, from 0 to 1")
    succeeded: float = Field(description="its share among those that succeeded")


class DifferenceView(BaseModel):
    """A place where the payload of the example is not that of the task that succeeded."""

    pointer: str = Field(description="a JSON pointer; empty for all of it")
    presence: Presence = Field(
        description="`only_here`: only the example has it; `only_there`: only the other; `other`: they differ"
    )
    here: str | None = Field(description="what the example has, as JSON of up to 300 characters")
    there: str | None = Field(description="what the task has that succeeded, likewise")


class FailureExampleView(BaseModel):
    """One of the tasks, beside the newest one of its type that succeeded. What is secret is masked in both."""

    task: FailedTaskView
    number: int = Field(description="its number among the tasks, from 1, the newest")
    newer_id: UUID | None = Field(description="the example before it")
    older_id: UUID | None = Field(description="the next example")
    success_id: UUID | None = Field(description="the task that succeeded; null if none was found")
    differences: list[DifferenceView] | None = Field(
        description="where the payloads differ, up to 100 places; null if there are not two payloads"
    )
    is_cut: bool = Field(description="there are more differences")


class FailureSampleView(BaseModel):
    """What the newest tasks that are still failed in this way have in common: a sample, so never exact."""

    tasks: list[FailedTaskView] = Field(description="the newest, up to 200 in all")
    messages: list[CountOf] = Field(
        description="the most frequent ones, with # for numbers and ids"
    )
    workers: list[CountOf] = Field(description="the most frequent ones")
    versions: list[CountOf] = Field(description="the most frequent ones")
    labels: list[LabelShare] = Field(description="those that stand out, the most striking first")
    succeeded: int = Field(
        description="how many of the newest tasks of these types that succeeded are compared with, up to 200"
    )
    example: FailureExampleView | None = Field(description="null if no task is still failed so")


def sample_json(
    sample: FailureSample, messages: Iterable[tuple[str, int]], example: FailureExample | None
) -> bytes:
    """Return a sample, its most frequent messages and its example as a `FailureSampleView` in JSON."""
    return encode_json(
        {
            "tasks": [_task_fields(one, _LONGEST_IN_LIST) for one in sample.failed],
            "messages": _counts(messages),
            "workers": _counts(sample.most_common("worker")),
            "versions": _counts(sample.most_common("version")),
            "labels": [fields_of(LabelShare, one) for one in sample.labels],
            "succeeded": len(sample.succeeded),
            "example": None if example is None else _example_fields(example),
        }
    )


def _task_fields(task: FailedTask, longest: int | None = None) -> dict[str, object]:
    return fields_of(
        FailedTaskView,
        task,
        message=task.message[:longest],
        finished_at=format_optional(task.finished_at),
    )


def _example_fields(example: FailureExample) -> dict[str, object]:
    found = example.differences
    return fields_of(
        FailureExampleView,
        example,
        task=_task_fields(example.failed),
        newer_id=example.newer,
        older_id=example.older,
        success_id=None if example.success is None else example.success.id,
        differences=None if found is None else [fields_of(DifferenceView, one) for one in found],
    )


def _counts(counts: Iterable[tuple[str, int]]) -> list[dict[str, object]]:
    return [{"name": name, "tasks": tasks} for name, tasks in counts]
