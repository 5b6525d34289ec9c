"""Why a task is where it is, over the API: how it ended, and what is refused."""

import pytest

from taskmill.domain.lifecycle import (
    ErrorInfo,
    Failed,
    Lost,
    Outcome,
    Permanent,
    Reason,
    Retry,
    Succeeded,
)
from taskmill.maintenance.expiry import expire_waiting
from tests.support.api import Served
from tests.support.builders import ERROR
from tests.support.explanations import explained, facts_of, holding
from tests.support.stage import Stage


@pytest.mark.parametrize(
    ("outcome", "end", "reason"),
    [
        (Succeeded(), "succeeded", None),
        (Failed(error=ERROR), "attempts_used_up", "error"),
        (Failed(error=ERROR, reason=Reason.TIMEOUT), "attempts_used_up", "timeout"),
        (Retry(error=ERROR), "attempts_used_up", "retry_requested"),
        (Permanent(error=ERROR), "permanent_failure", "permanent"),
        (Lost(), "losses_used_up", "worker_lost"),
    ],
)
async def test_how_a_task_ended_is_explained(
    api: Served, stage: Stage, outcome: Outcome, end: str, reason: str | None
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, max_losses=0)
    await stage.end(taken, lease_id, outcome)
    explanation = await explained(api, taken.task.id)
    assert holding(explanation) == ["finished"]
    facts = facts_of(explanation, "finished")
    assert (facts["end"], facts["reason"], facts["can_retry"]) == (end, reason, True)
    task = (await api.get(f"/tasks/{taken.task.id}")).json()
    assert facts["finished_at"] == task["finished_at"]
    if end != "succeeded":
        assert facts["error_type"] == task["error"]["type"]
    assert (await api.post(f"/tasks/{taken.task.id}/retry")).status_code == 200
    assert holding(await explained(api, taken.task.id)) != ["finished"]


async def test_an_expired_and_a_cancelled_end_are_distinguished(api: Served, stage: Stage) -> None:
    late = await stage.created(expires_at=stage.clock.now())
    await expire_waiting(stage.maintenance_database)
    assert facts_of(await explained(api, late.id), "finished")["end"] == "expired"
    unwanted = await api.create()
    await api.post(f"/tasks/{unwanted['id']}/cancel")
    explanation = await explained(api, unwanted["id"])
    assert (explanation["status"], facts_of(explanation, "finished")["end"]) == (
        "cancelled",
        "cancelled",
    )


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("/tasks/01970000-0000-7000-8000-000000000000/explain", 404, "task-not-found"),
        ("/tasks/{id}/explain?verbose=1", 422, "invalid-input"),
        ("/tasks/{id}/explain?x=%00", 422, "invalid-input"),
        ("/tasks/{id}/explain?x=%ff", 400, "bad-request"),
        ("/tasks/7/explain", 404, "task-not-found"),
        ("/tasks/-7/explain", 422, "invalid-input"),
        ("/tasks/%00/explain", 422, "invalid-input"),
        ("/tasks/' OR 1=1/explain", 422, "invalid-input"),
        ("/tasks/{{id}}/explain", 422, "invalid-input"),
        ("/tasks/batch/explain", 422, "invalid-input"),
        ("/tasks/%ff/explain", 400, "bad-request"),
        ("/tasks/{id}/explain/", 404, "not-found"),
    ],
)
async def test_what_is_no_valid_request_is_refused(
    api: Served, stage: Stage, path: str, status: int, problem: str
) -> None:
    task = await stage.created()
    refused = await api.get(path.replace("{id}", str(task.id)))
    assert (refused.status_code, refused.json()["type"]) == (status, f"/problems/{problem}")
    assert refused.headers["content-type"] == "application/problem+json"


async def test_the_message_of_a_handler_s_error_is_shown_unchanged(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    hostile = ErrorInfo(type='"}<script>', message="\x1b[2J\u202e\n" * 2000)
    await stage.end(taken, lease_id, Failed(error=hostile))
    explanation = await explained(api, taken.task.id)
    assert facts_of(explanation, "finished")["error_message"] == hostile.message
    assert len(explanation["summary"]) < 400
