"""The earlier service's shapes."""
# ruff: noqa: RUF001  (the earlier service's statuses are Russian words)

import json

import pytest
from hypothesis import given, strategies as st

from taskmill.api.refusals import error_response
from taskmill.domain.errors import InvalidInput, QueueNotFound, TaskNotFound, Unavailable
from taskmill.domain.lifecycle import Status
from taskmill.domain.task import TaskDraft
from taskmill.wire.legacy import (
    LegacyError,
    LegacyPage,
    LegacyTask,
    legacy_draft,
    legacy_page_json,
    legacy_task_json,
    statuses_of,
)
from tests.unit.wire.builders import TASK_ID, a_task


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (Status.NEW, "Создана"),
        (Status.IN_PROGRESS, "В процессе"),
        (Status.SUCCEEDED, "Завершена успешно"),
        (Status.FAILED, "Ошибка"),
        (Status.CANCELLED, "Ошибка"),
    ],
)
def test_a_task_is_shown_in_the_legacy_form(status: Status, name: str) -> None:
    shown = legacy_task_json(a_task(number=42, status=status, description="d"))
    assert json.loads(shown) == {
        "id": 42,
        "uid": str(TASK_ID),
        "name": "first",
        "description": "d",
        "created_at": "2030-01-31T12:00:00.000000Z",
        "status": name,
    }
    assert LegacyTask.model_validate_json(shown).model_dump_json().encode() == shown
    assert status in statuses_of(name)


def test_a_legacy_status_stands_for_all_statuses_that_it_is_shown_for() -> None:
    assert statuses_of("Ошибка") == {Status.FAILED, Status.CANCELLED}
    assert statuses_of("Создана") == {Status.NEW}


def test_the_status_names_of_the_earlier_readme_are_accepted() -> None:
    assert statuses_of("\u0043оздана") == {Status.NEW}, "with a Latin C"
    assert statuses_of("Выполнено успешно") == {Status.SUCCEEDED}


@pytest.mark.parametrize("text", ["new", "", "создана", "Отменена"])
def test_an_unknown_legacy_status_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="query:status"):
        statuses_of(text)


def test_a_page_is_shown_in_the_legacy_form() -> None:
    shown = legacy_page_json([a_task(), a_task(number=2)], limit=20, offset=40, total=42)
    assert LegacyPage.model_validate_json(shown).model_dump_json().encode() == shown
    assert list(json.loads(shown)) == ["limit", "offset", "total", "objects"]


def test_a_legacy_body_becomes_a_draft_and_its_other_fields_are_ignored() -> None:
    made = legacy_draft({"name": "x", "description": None, "id": 5, "priority": "high"})
    assert made == TaskDraft(name="x", source="rest")


@pytest.mark.parametrize(
    "body", [{}, [], None, {"name": ""}, {"name": 1}, {"name": " \u200b"}, {"name": "x" * 201}]
)
def test_a_bad_legacy_body_is_refused(body: object) -> None:
    with pytest.raises(InvalidInput):
        legacy_draft(body)


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (TaskNotFound(TASK_ID), 404, "Not found"),
        (QueueNotFound("x"), 404, "Not found"),
        (
            InvalidInput.at("/name", "a string", "null"),
            422,
            "/name: expected a string, got null",
        ),
        (
            RuntimeError("secret"),
            500,
            "something unforeseen happened; it is unknown what was done",
        ),
    ],
)
def test_an_error_has_the_legacy_form(error: Exception, status: int, detail: str) -> None:
    response = error_response(error, "/task_service/tasks/")
    assert response.status == status
    assert response.headers[0] == (b"content-type", b"application/json")
    assert json.loads(response.body) == {"detail": detail}
    LegacyError.model_validate_json(response.body)


def test_an_outage_has_a_retry_after() -> None:
    response = error_response(Unavailable(1.0, "the database"), "/task_service/tasks/")
    assert (response.status, response.headers[1]) == (503, (b"retry-after", b"1"))


@given(st.dictionaries(st.sampled_from(["name", "description", "x"]), st.text() | st.integers()))
def test_any_legacy_body_is_a_draft_or_refused(body: dict[str, object]) -> None:
    try:
        made = legacy_draft(body)
    except InvalidInput:
        return
    assert isinstance(made, TaskDraft)
