"""What is written by hand about the fields of tasks agrees with the table of them."""

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from taskmill.client.views.tasks import TaskFields
from taskmill.domain.task import ClaimedTask, Task, TaskDraft, new_task
from taskmill.domain.task_fields import GIVEN, SHOWN, TASK_FIELDS, Kind, TaskField
from taskmill.storage import schema
from taskmill.storage.statements import QUERIES
from taskmill.wire.leases import LeasedTaskView
from taskmill.wire.tasks import CreateTask, TaskView, to_draft
from tests.support.task_fields import VALUES

# Of `taskmill.current_task`, and of no request or response.
INSIDE = {"traceparent", "lease_id", "open_policy", "claim_no"}
CLAIMS = ("claim_tasks",)


def names(fields: tuple[TaskField, ...]) -> list[str]:
    return [field.name for field in fields]


def attributes(kind: Any) -> set[str]:  # noqa: ANN401 - a dataclass
    return {field.name for field in dataclasses.fields(kind)}


def limits(schema: dict[str, Any]) -> tuple[Any, Any, bool]:
    """The lowest and the highest value or length in a JSON Schema, and whether a value must be over the lowest."""
    parts = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    least = ("minimum", "exclusiveMinimum", "minLength")
    most = ("maximum", "maxLength")
    [low], [high] = (
        {next((part[key] for key in keys if key in part), None) for part in parts}
        for keys in (least, most)
    )
    return low, high, any("exclusiveMinimum" in part for part in parts)


def test_a_request_has_the_fields_that_can_be_given() -> None:
    assert list(CreateTask.model_fields) == names(GIVEN)
    assert list(TaskFields.__annotations__) == [name for name in names(GIVEN) if name != "name"]


@pytest.mark.parametrize("field", GIVEN, ids=lambda field: field.name)
def test_a_request_has_the_bounds_and_the_default_of_each_field(field: TaskField) -> None:
    properties = CreateTask.model_json_schema()["properties"]
    assert limits(properties[field.name]) == (field.least, field.most, field.is_over)
    default: object = {} if field.kind is Kind.LABELS else field.default
    assert properties[field.name].get("default") == default


def test_a_response_has_the_fields_that_are_shown() -> None:
    assert list(TaskView.model_fields) == names(SHOWN)


def test_a_worker_gets_the_fields_that_are_claimed() -> None:
    claimed = [field for field in TASK_FIELDS.values() if field.is_claimed]
    assert {field.attribute for field in claimed} <= attributes(ClaimedTask)
    # How an attempt is tried again is decided by the service.
    given = {field.name for field in claimed} - {"retry"} | {"claim_no", "traceparent"}
    assert set(LeasedTaskView.model_fields) == given
    for query in CLAIMS:
        returned = (QUERIES / f"{query}.sql").read_text("utf-8").rpartition("SELECT")[2]
        assert {field.name for field in claimed} <= set(re.findall(r"\w+", returned))


def test_every_field_of_a_request_gets_to_its_task() -> None:
    assert {field.attribute for field in SHOWN} <= attributes(Task)
    now = datetime(2030, 1, 1, tzinfo=UTC)
    for field in GIVEN:
        value = VALUES[field.kind]
        draft = to_draft({"name": "a task", field.name: value}, source="rest")
        usual = to_draft({"name": "a task"}, source="rest")
        if field.name == "idempotency_key":
            assert draft.idempotency is not None
            continue
        assert getattr(draft, field.attribute) != getattr(usual, field.attribute), field.name
        if field.name in ("retry", "run_at", "delay_s"):  # their stored values are arguments
            continue
        task = new_task(
            draft,
            task_id=UUID(int=1),
            number=1,
            run_at=now,
            created_at=now,
            updated_at=now,
            retry=None,
        )
        assert getattr(task, field.attribute) == getattr(draft, field.attribute), field.name


def test_a_draft_has_the_default_of_each_field() -> None:
    draft = TaskDraft(name="a task")
    for field in GIVEN:
        if field.name not in ("name", "labels", "idempotency_key"):
            assert getattr(draft, field.attribute) == field.default, field.name


def test_stored_fields_are_columns() -> None:
    stored = {field.name for field in TASK_FIELDS.values() if field.is_stored}
    assert {column.name for column in schema.current_task.columns} == stored | INSIDE


def test_statements_write_and_read_every_stored_field() -> None:
    create = (QUERIES / "create_tasks.sql").read_text("utf-8")
    written = create.partition("INSERT INTO taskmill.task (")[2].partition(")")[0]
    given = {field.name for field in GIVEN if field.is_stored}
    assert given <= set(re.findall(r"\w+", written))
    read = (QUERIES / "get_tasks.sql").read_text("utf-8")
    shown = {field.name for field in SHOWN if field.is_stored}
    assert shown <= set(
        re.findall(r"\bt\.(\w+)", read.partition("FROM taskmill.current_task AS t")[0])
    )
