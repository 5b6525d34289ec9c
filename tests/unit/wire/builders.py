"""Values for the tests of responses, with defaults for everything."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from taskmill.domain.lifecycle import Status
from taskmill.domain.task import Task

TASK_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)

NEW_TASK = Task(
    id=TASK_ID,
    number=1,
    name="first",
    description=None,
    type="emulate",
    payload=None,
    queue="default",
    priority=4,
    status=Status.NEW,
    run=1,
    attempt=0,
    max_attempts=1,
    losses=0,
    max_losses=3,
    cancel_requested=False,
    run_at=NOON,
    created_at=NOON,
    started_at=None,
    finished_at=None,
    updated_at=NOON,
    result=None,
    error=None,
    labels="{}",
    source="rest",
    version=1,
    claim_no=0,
)


def a_task(**changes: Any) -> Task:  # noqa: ANN401  (any field of a task)
    """Give a waiting task, with some of its fields changed."""
    return replace(NEW_TASK, **changes)
