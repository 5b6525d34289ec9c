"""Work over HTTP as clients in any language do it: take tasks, and report how they end."""

from typing import Any
from uuid import UUID

import httpx

from taskmill.wire.leases import LeaseView
from tests.support.api import Served
from tests.support.stage import Stage

WORKER = {"worker": "shell-1", "types": ["emulate"]}


async def take(api: Served, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of a request
    """Take the due tasks, waiting up to seconds for the first one."""
    response = await api.post("/leases", {**WORKER, "wait_s": 10, **fields})
    assert response.status_code == 201, response.text
    LeaseView.model_validate_json(response.content)
    lease: dict[str, Any] = response.json()
    return lease


async def taken(api: Served, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401 - see above
    """Create a task and take it; returns it as the lease has it, and its fence."""
    created = await api.create(**fields)
    lease = await take(api)
    [task] = lease["tasks"]
    assert task["id"] == created["id"]
    return task, {"lease_id": lease["lease_id"], "claim_no": task["claim_no"]}


async def report(api: Served, task: dict[str, Any], what: str, body: object) -> httpx.Response:
    return await api.post(f"/tasks/{task['id']}/{what}", body)


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].rpartition("/")[2]


async def closed(stage: Stage, lease_id: str) -> str | None:
    reason: str | None = await stage.sql.fetchval(
        "SELECT close_reason FROM taskmill.lease WHERE id = $1 AND closed_at IS NOT NULL",
        UUID(lease_id),
    )
    return reason
