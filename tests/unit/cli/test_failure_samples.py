"""A sample of a kind of failures and its example, as people read them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from taskmill.cli.failure_samples import sample_lines
from taskmill.client.views.failure_samples import (
    DifferenceView,
    FailedTaskView,
    FailureExampleView,
    FailureSampleView,
    LabelShare,
)
from taskmill.client.views.failures import CountOf
from taskmill.domain.json_diff import Presence

ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)


def a_task(**parts: Any) -> FailedTaskView:  # noqa: ANN401 - fields of the view
    fields = {
        "id": ONE,
        "queue": "mail",
        "type": "pay",
        "message": "no",
        "worker": None,
        "version": None,
        "finished_at": None,
    }
    return FailedTaskView(**{**fields, **parts})


def an_example(**parts: Any) -> FailureExampleView:  # noqa: ANN401 - fields of the view
    fields = {
        "task": a_task(),
        "number": 1,
        "newer_id": None,
        "older_id": None,
        "success_id": None,
        "differences": None,
        "is_cut": False,
    }
    return FailureExampleView(**{**fields, **parts})


def lines(example: FailureExampleView | None, **parts: Any) -> list[str]:  # noqa: ANN401 - fields of the view
    fields = {
        "tasks": [a_task(), a_task(id=TWO)],
        "messages": [],
        "workers": [],
        "versions": [],
        "labels": [],
        "succeeded": 0,
        "example": example,
    }
    shown = sample_lines(FailureSampleView(**{**fields, **parts}))
    return [" ".join(map(str, cells)) for cells in shown if cells]


def test_without_tasks_there_is_nothing_in_common() -> None:
    assert lines(None, tasks=[]) == ["no task is still failed in this way"]


def test_what_is_common_has_its_share() -> None:
    shown = lines(
        an_example(),
        messages=[CountOf(name="", tasks=1)],
        workers=[CountOf(name="w-1", tasks=2)],
        versions=[CountOf(name="1.2.0", tasks=2)],
        labels=[LabelShare(key="zone", value="eu", failed=0.9, succeeded=0.25)],
        succeeded=1_000,
    )
    text = "\n".join(shown)
    for part in (
        "- 50%",
        "w-1 100%",
        "1.2.0 100%",
        "zone=eu 90% instead of 25% of 1,000 that succeeded",
    ):
        assert part in text


def test_an_example_without_a_success_says_so() -> None:
    text = "\n".join(lines(an_example(task=a_task(message=""))))
    assert f"Example 1 of 2 {ONE}" in text
    assert "no task of its type has succeeded" in text


def test_differences_are_listed_and_more_are_counted() -> None:
    example = an_example(
        task=a_task(finished_at=datetime(2026, 1, 1, tzinfo=UTC)),
        older_id=TWO,
        success_id=THREE,
        differences=[
            DifferenceView(pointer="", presence=Presence.OTHER, here="[1]", there="{}"),
            DifferenceView(pointer="/a", presence=Presence.ONLY_HERE, here="1", there=None),
        ],
        is_cut=True,
    )
    text = "\n".join(lines(example))
    for part in (str(TWO), str(THREE), "/ [1] {}", "/a 1 -", "and more"):
        assert part in text


def test_payloads_that_can_not_be_compared_have_no_differences() -> None:
    text = "\n".join(lines(an_example(success_id=THREE)))
    assert str(THREE) in text
    assert "and more" not in text
