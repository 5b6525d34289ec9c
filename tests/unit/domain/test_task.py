"""The task that a request becomes."""

from datetime import timedelta
from uuid import UUID

from taskmill.domain.lifecycle import Status
from taskmill.domain.task import Task, TaskDraft, new_task
from tests.support.histories import BEGIN, SECOND

DRAFT = TaskDraft(
    name="monthly report",
    description="for November",
    type="report",
    payload='{"customer":4711}',
    payload_secrets='["/customer"]',
    queue="reports",
    priority=7,
    max_attempts=5,
    max_losses=2,
    timeout=timedelta(minutes=1),
    expires_at=BEGIN + 9 * SECOND,
    labels='{"team":"finance"}',
    source="amqp",
    callback_url="https://example.com/done",
)


def test_a_new_task_has_all_of_its_draft_and_has_done_nothing_yet() -> None:
    times = {"run_at": BEGIN + 3 * SECOND, "created_at": BEGIN, "updated_at": BEGIN + SECOND}
    assert new_task(DRAFT, task_id=UUID(int=1), number=862, retry="{}", **times) == Task(
        id=UUID(int=1),
        number=862,
        name="monthly report",
        description="for November",
        type="report",
        payload='{"customer":4711}',
        payload_secrets='["/customer"]',
        queue="reports",
        priority=7,
        status=Status.NEW,
        run=1,
        attempt=0,
        max_attempts=5,
        losses=0,
        max_losses=2,
        cancel_requested=False,
        started_at=None,
        finished_at=None,
        result=None,
        error=None,
        labels='{"team":"finance"}',
        source="amqp",
        version=1,
        claim_no=0,
        retry="{}",
        timeout=timedelta(minutes=1),
        expires_at=BEGIN + 9 * SECOND,
        callback_url="https://example.com/done",
        progress=None,
        **times,
    )
