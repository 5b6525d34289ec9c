"""The earlier service's shapes: its task, its page, its Russian statuses and its errors.

It only translates; the API serves them.
"""
# ruff: noqa: RUF001  (the earlier service's statuses are Russian words)

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import Status
from taskmill.domain.task import Task, TaskDraft
from taskmill.wire import fields
from taskmill.wire.basics import format_timestamp
from taskmill.wire.encoding import encode_json
from taskmill.wire.fields import Timestamp
from taskmill.wire.tasks import to_draft

LegacyStatus = Literal["Создана", "В процессе", "Завершена успешно", "Ошибка"]

LEGACY_STATUS: Final[dict[Status, LegacyStatus]] = {
    Status.NEW: "Создана",
    Status.IN_PROGRESS: "В процессе",
    Status.SUCCEEDED: "Завершена успешно",
    Status.FAILED: "Ошибка",
    Status.CANCELLED: "Ошибка",
}
"""The earlier service's name of a status; it had none for a cancelled task."""

LegacyFilter = Literal[LegacyStatus, "Cоздана", "Выполнено успешно"]
"""The statuses in a filter: also the names in the earlier README, one of which begins with a Latin C."""

_README_STATUS: Final[dict[str, Status]] = {
    "Cоздана": Status.NEW,
    "Выполнено успешно": Status.SUCCEEDED,
}

_FIELDS: Final = ("name", "description")


class LegacyCreate(BaseModel):
    """A request to create a task; other fields are ignored, as they were."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "first"}]})

    name: fields.Title
    description: fields.Description | None = None


class LegacyTask(BaseModel):
    """A task as the earlier service showed it."""

    id: int = Field(description="the task's number")
    uid: UUID = Field(description="the task's id")
    name: str
    description: str | None
    created_at: Timestamp
    status: LegacyStatus


class LegacyPage(BaseModel):
    """A page of a listing, oldest first."""

    limit: int
    offset: int
    total: int
    objects: list[LegacyTask]


class LegacyError(BaseModel):
    """Why a request was refused."""

    detail: str


def statuses_of(legacy: str) -> frozenset[Status]:
    """Return the statuses that a legacy name, or a name in the earlier README, stands for.

    Raises:
        InvalidInput: The earlier service had no such status.
    """
    if legacy in _README_STATUS:
        return frozenset({_README_STATUS[legacy]})
    found = frozenset(status for status, name in LEGACY_STATUS.items() if name == legacy)
    if not found:
        names = ", ".join(dict.fromkeys(LEGACY_STATUS.values()))
        raise InvalidInput.at("query:status", f"one of {names}", "another text")
    return found


def legacy_draft(body: object, traceparent: str | None = None) -> TaskDraft:
    """Return the draft that a legacy body makes.

    Raises:
        InvalidInput: It is not an object, or its name or description is not allowed.
    """
    if isinstance(body, dict):
        body = {name: body[name] for name in _FIELDS if name in body}
    return to_draft(body, source="rest", traceparent=traceparent)


def legacy_task_json(task: Task) -> bytes:
    """Return a task as a `LegacyTask` in JSON."""
    return encode_json(_fields(task))


def legacy_page_json(tasks: Sequence[Task], *, limit: int, offset: int, total: int) -> bytes:
    """Return a page as a `LegacyPage` in JSON."""
    objects = [_fields(task) for task in tasks]
    return encode_json({"limit": limit, "offset": offset, "total": total, "objects": objects})


def legacy_error_json(status: int, problem: bytes) -> bytes:
    """Return a problem as a `LegacyError` in JSON."""
    detail = "Not found" if status == HTTPStatus.NOT_FOUND else orjson.loads(problem)["detail"]
    return encode_json({"detail": detail})


def _fields(task: Task) -> dict[str, object]:
    return {
        "id": task.number,
        "uid": task.id,
        "name": task.name,
        "description": task.description,
        "created_at": format_timestamp(task.created_at),
        "status": LEGACY_STATUS[task.status],
    }
