"""Leases over HTTP: what is in them, renewing and returning them, which tasks they get, and what is refused."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from taskmill.domain.lifecycle import Status
from taskmill.settings import PullSettings, Settings
from taskmill.storage import leases
from taskmill.wire.leases import RenewedLeaseView, ReturnedLeaseView
from tests.support.api import LIMITS, Served, serving
from tests.support.polling import eventually
from tests.support.remote_work import WORKER, closed, problem, report, take, taken
from tests.support.stage import Stage
from tests.support.verifying import found_in


async def test_a_lease_has_the_task_and_all_that_is_needed_to_run_it(
    api: Served, stage: Stage
) -> None:
    task, fence = await taken(
        api,
        payload={"a": [1, {"b": "ü"}]},
        labels={"team": "x"},
        timeout_s=7.5,
        max_attempts=3,
        queue="reports",
    )
    assert task["payload"] == {"a": [1, {"b": "ü"}]}
    assert task["labels"] == {"team": "x"}
    assert (task["attempt"], task["max_attempts"], task["claim_no"]) == (1, 3, 1)
    assert (task["timeout_s"], task["queue"], task["type"]) == (7.5, "reports", "emulate")
    now = (await api.get(f"/tasks/{task['id']}")).json()
    assert (now["status"], now["attempt"]) == ("in_progress", 1)
    [worker] = (await api.get("/workers")).json()["items"]
    assert (worker["id"], worker["name"], worker["remote"]) == (fence["lease_id"], "shell-1", True)
    assert (worker["slots"], worker["running"]) == (1, 1)
    why = (await api.get(f"/tasks/{task['id']}/explain")).json()
    assert why["blocker"] == "running"
    assert why["summary"].startswith("It runs on shell-1")
    assert await found_in(stage.database) == {}


async def test_without_due_tasks_the_response_is_empty_and_leaves_no_lease(
    api: Served, stage: Stage
) -> None:
    await api.create(type="other")
    await api.create(delay_s=3600)
    response = await api.post("/leases", {**WORKER, "limit": 10})
    assert (response.status_code, response.content) == (204, b"")
    response = await api.post("/leases", {**WORKER, "wait_s": 0.05})
    assert response.status_code == 204
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.lease") == 0


async def test_a_renewal_shows_what_runs_and_what_to_stop(api: Served, stage: Stage) -> None:
    created = [await api.create() for _ in range(3)]
    lease = await take(api, limit=3, ttl_s=5)
    ids = sorted(task["id"] for task in created)
    assert sorted(task["id"] for task in lease["tasks"]) == ids
    path = f"/leases/{lease['lease_id']}/renew"
    response = await api.post(path)
    assert response.status_code == 200, response.text
    RenewedLeaseView.model_validate_json(response.content)
    renewed = response.json()
    assert (sorted(renewed["tasks"]), renewed["cancel"]) == (ids, [])
    assert renewed["ttl_s"] == 5
    assert renewed["expires_at"] > lease["expires_at"]
    assert (await api.post(f"/tasks/{ids[0]}/cancel")).status_code == 202
    fence = {"lease_id": lease["lease_id"], "claim_no": 1}
    await api.post(f"/tasks/{ids[1]}/finish", fence)
    renewed = (await api.post(path, {"ttl_s": 60})).json()
    assert (sorted(renewed["tasks"]), renewed["cancel"]) == ([ids[0], ids[2]], [ids[0]])
    assert renewed["ttl_s"] == 60
    assert await stage.sql.fetchval("SELECT running FROM taskmill.lease") == 2


async def test_a_lease_that_is_handed_back_costs_nothing(api: Served, stage: Stage) -> None:
    created = [await api.create(max_attempts=1, max_losses=0) for _ in range(2)]
    lease = await take(api, limit=2)
    path = f"/leases/{lease['lease_id']}"
    await api.post(f"/tasks/{created[0]['id']}/cancel")
    response = await api.http.delete(path)
    ReturnedLeaseView.model_validate_json(response.content)
    assert sorted(response.json()["handed_back"]) == sorted(task["id"] for task in created)
    cancelled, waiting = [await stage.task(UUID(task["id"])) for task in created]
    assert (cancelled.status, waiting.status) == (Status.CANCELLED, Status.NEW)
    assert (waiting.attempt, waiting.losses) == (0, 0)
    assert await closed(stage, lease["lease_id"]) == "stopped"
    again = await api.http.delete(path)
    assert (again.status_code, again.json()["handed_back"]) == (200, [])
    assert problem(await api.post(f"{path}/renew")) == (409, "lease-closed")
    fence = {"lease_id": lease["lease_id"], "claim_no": 1}
    assert problem(await report(api, created[1], "finish", fence)) == (409, "stale-fence")
    assert (await take(api))["tasks"][0]["claim_no"] == 2
    assert await found_in(stage.database) == {}


async def test_a_workers_own_lease_is_unknown_over_http(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    running = await stage.running(lease_id)
    path = f"/leases/{lease_id}"
    assert problem(await api.post(f"{path}/renew")) == (404, "lease-not-found")
    assert problem(await api.http.delete(path)) == (404, "lease-not-found")
    fence = {"lease_id": str(lease_id), "claim_no": running.task.claim_no}
    response = await api.post(f"/tasks/{running.task.id}/finish", fence)
    assert problem(response) == (409, "stale-fence")
    assert (await stage.task(running.task.id)).status is Status.IN_PROGRESS


async def test_a_lease_that_was_taken_over_is_lost(api: Served, stage: Stage) -> None:
    task, fence = await taken(api)
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now()")
    assert (await api.post(f"/leases/{fence['lease_id']}/renew")).status_code == 200, "not yet"
    await stage.sql.execute("UPDATE taskmill.lease SET expires_at = now()")
    assert await leases.close_expired(stage.maintenance_database) == [UUID(fence["lease_id"])]
    response = await api.post(f"/leases/{fence['lease_id']}/renew")
    assert problem(response) == (409, "lease-closed")
    assert "expired" in response.json()["detail"]
    # Nobody has taken the task back yet: as for any worker, its result still counts.
    assert (await report(api, task, "finish", fence)).status_code == 200


async def test_only_the_queues_and_types_that_were_named_are_taken(api: Served) -> None:
    await api.create(queue="a", type="x")
    await api.create(queue="b", type="x")
    await api.create(queue="b", type="y")
    fields: dict[str, Any] = {"limit": 10, "queues": ["b"], "types": ["x", "z"]}
    [task] = (await take(api, **fields))["tasks"]
    assert (task["queue"], task["type"]) == ("b", "x")
    assert (await api.post("/leases", {**WORKER, **fields})).status_code == 204


async def test_the_most_urgent_come_first_and_a_paused_queue_gives_nothing(api: Served) -> None:
    for priority in (1, 9, 5):
        await api.create(priority=priority)
    await api.create(queue="paused", priority=9)
    await api.http.patch("/queues/paused", content=b'{"paused": true}')
    priorities = [
        (await take(api, wait_s=5))["tasks"][0]["priority"],
        (await take(api, wait_s=5))["tasks"][0]["priority"],
        (await take(api, wait_s=5))["tasks"][0]["priority"],
    ]
    assert priorities == [9, 5, 1]
    assert (await api.post("/leases", WORKER)).status_code == 204


async def test_bounds_are_cut_to_the_settings(stage: Stage) -> None:
    pull = PullSettings(tasks=2, longest_ttl_s=3, wait_s=0.05)
    async with serving(stage.service, Settings(limits=LIMITS, pull=pull)) as api:
        for _ in range(3):
            await api.create()
        lease = await take(api, limit=50, ttl_s=600, wait_s=3600)
        assert (len(lease["tasks"]), lease["ttl_s"]) == (2, 3)
        renewed = await api.post(f"/leases/{lease['lease_id']}/renew", {"ttl_s": 600})
        assert renewed.json()["ttl_s"] == 3
        await take(api)
        assert (await api.post("/leases", {**WORKER, "wait_s": 3600})).status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"types": ["x"]}, "/worker"),
        ({"worker": "w"}, "/types"),
        ({"worker": "w", "types": []}, "/types"),
        ({"worker": "w", "types": ["*"]}, "/types/0"),
        ({"worker": "w", "types": ["x"] * 101}, "/types"),
        ({"worker": "w", "types": ["x"], "queues": ["Nope"]}, "/queues/0"),
        ({"worker": "", "types": ["x"]}, "/worker"),
        ({"worker": "w\n", "types": ["x"]}, "/worker"),
        ({"worker": "\x1b[2J", "types": ["x"]}, "/worker"),
        ({"worker": "w" * 201, "types": ["x"]}, "/worker"),
        ({"worker": "w\x00", "types": ["x"]}, "/worker"),
        ({"worker": "w", "types": ["x"], "limit": 0}, "/limit"),
        ({"worker": "w", "types": ["x"], "limit": 1001}, "/limit"),
        ({"worker": "w", "types": ["x"], "ttl_s": 0.5}, "/ttl_s"),
        ({"worker": "w", "types": ["x"], "wait_s": -1}, "/wait_s"),
        ({"worker": "w", "types": ["x"], "wait": 1}, "/wait"),
        ([], ""),
    ],
)
async def test_a_request_for_tasks_that_does_not_fit_is_refused(
    api: Served, body: object, pointer: str
) -> None:
    response = await api.post("/leases", body)
    assert problem(response) == (422, "invalid-input")
    assert response.json()["errors"][0]["pointer"] == pointer


async def test_unknown_parameters_and_methods_are_refused(api: Served) -> None:
    response = await api.post("/leases?limit=3", WORKER)
    assert problem(response) == (422, "invalid-input")
    response = await api.get("/leases")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    response = await api.http.delete("/leases/nonsense")
    assert response.json()["errors"][0]["pointer"] == "path:id"
    assert problem(await api.http.delete(f"/leases/{uuid4()}")) == (404, "lease-not-found")
    assert problem(await api.post(f"/leases/{uuid4()}/renew")) == (404, "lease-not-found")
    assert problem(await api.post(f"/leases/{uuid4()}/renew", [])) == (422, "invalid-input")


@pytest.fixture
async def two(stage: Stage) -> AsyncIterator[tuple[Served, Served]]:
    """Two API processes' worth of servers over one database."""
    async with serving(stage.service) as first, serving(stage.service) as second:
        yield first, second


async def test_two_servers_never_give_one_task_twice(
    two: tuple[Served, Served], stage: Stage
) -> None:
    for _ in range(5):
        await two[0].post("/tasks/batch", [{"name": "n"}] * 40)
    got: list[str] = []

    async def work(api: Served) -> None:
        while True:
            response = await api.post("/leases", {**WORKER, "limit": 7, "wait_s": 0.3})
            if response.status_code == 204:
                return
            lease = response.json()
            got.extend(task["id"] for task in lease["tasks"])
            for task in lease["tasks"]:
                fence = {"lease_id": lease["lease_id"], "claim_no": task["claim_no"]}
                other = two[0] if api is two[1] else two[1]
                assert (await report(other, task, "finish", fence)).status_code == 200

    async with asyncio.TaskGroup() as group:
        for api in two * 4:
            group.create_task(work(api))
    assert len(got) == len(set(got)) == 200
    assert (
        await stage.sql.fetchval("SELECT count(*) FROM taskmill.lease WHERE closed_at IS NULL") == 0
    )
    assert await found_in(stage.database) == {}


async def test_a_new_task_goes_to_a_waiting_call(api: Served, stage: Stage) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(take(api, wait_s=10))

        async def is_waiting() -> bool:
            return len(api.app._context.pull._claims._calls) == 1

        await eventually(is_waiting, "the call to wait")
        await stage.created()
        lease = await waiting
    assert len(lease["tasks"]) == 1
