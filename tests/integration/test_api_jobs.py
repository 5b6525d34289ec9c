"""Jobs over HTTP: start, list, read and stop them, each key in its queues."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from taskmill.domain.jobs import MOST_OPEN
from taskmill.domain.lifecycle import Status
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.failing import fail
from tests.support.jobs import another, running
from tests.support.polling import eventually
from tests.support.stage import Stage


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def ended(api: Served, job: dict[str, Any], **options: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's own
    """Wait until a job is over, and return it."""

    async def probe() -> dict[str, Any] | None:
        found: dict[str, Any] = (await api.get(f"/jobs/{job['id']}", **options)).json()
        return found if found["state"] != "running" else None

    found = await eventually(probe, "the end of the job")
    assert found is not None
    return found


async def test_a_job_is_started_and_goes_on_in_another_process(api: Served, stage: Stage) -> None:
    ids = [await fail(stage, queue="a") for _ in range(3)]
    body = {"action": "retry", "queue": "a", "limit": 2, "delay_s": 60, "per_second": 4}
    response = await api.post("/jobs", body)
    assert response.status_code == 201
    job = response.json()
    assert response.headers["location"] == f"/jobs/{job['id']}"
    assert (job["state"], job["limit"], job["per_second"], job["started_by"]) == (
        *("running", 2, 4.0),
        "127.0.0.1",
    )
    assert (job["filter"]["status"], job["filter"]["queue"]) == (["failed"], "a")
    async with running(another(stage)):
        found = await ended(api, job)
    assert (found["state"], found["matched"], found["changed"]) == ("limited", 2, 2)
    tasks = [await stage.task(one) for one in ids]
    assert [one.status for one in tasks] == [Status.NEW] * 2 + [Status.FAILED]
    assert (tasks[1].run_at - tasks[0].run_at).total_seconds() == 0.25
    assert job["last_at"] is None
    assert datetime.fromisoformat(found["last_at"]) == tasks[1].run_at
    assert (await api.get("/jobs")).json() == {"items": [found], "next_cursor": None}


async def test_the_same_request_twice_is_one_job(api: Served, stage: Stage) -> None:
    task = await fail(stage, queue="a")
    body, headers = {"action": "retry", "queue": "a", "delay_s": 60}, {"Idempotency-Key": "k"}
    first, second = await asyncio.gather(  # noqa: TID251 - at once
        *(api.post("/jobs", body, headers=headers) for _ in range(2))
    )
    assert sorted((first.status_code, second.status_code)) == [200, 201]
    assert first.json() == second.json()
    async with running(another(stage)):
        await ended(api, first.json())
    await api.post(f"/tasks/{task}/cancel")
    again = await api.post("/jobs", body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert again.headers["location"] == first.headers["location"]
    assert again.json()["state"] == "done"
    assert (await stage.task(task)).run == 2
    # Another key is another job; the same one for something else is refused.
    other = await api.post("/jobs", body, headers={"Idempotency-Key": "other"})
    assert (other.status_code, other.json()["id"] == first.json()["id"]) == (201, False)
    refused = await api.post("/jobs", {**body, "queue": "b"}, headers=headers)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/idempotency-conflict")
    invalid = await api.post("/jobs", body, headers={"Idempotency-Key": "k" * 256})
    assert invalid.json()["errors"][0]["pointer"] == "header:Idempotency-Key"


async def test_an_idempotency_key_is_that_of_an_api_key(required: Served, stage: Stage) -> None:
    grants = ("tasks:read", "tasks:operate")
    keys = [shown(await a_new_key(stage.database, *grants)) for _ in range(2)]
    body = {"action": "cancel", "queue": "a"}
    sent = [
        await required.post("/jobs", body, headers={**key, "Idempotency-Key": "k"})
        for key in (*keys, *keys)
    ]
    assert [one.status_code for one in sent] == [201, 201, 200, 200]
    ids = [one.json()["id"] for one in sent]
    assert ids[:2] == ids[2:]
    assert ids[0] != ids[1]


async def test_a_repeat_is_not_one_job_too_many(api: Served) -> None:
    body = {"action": "cancel", "queue": "a"}
    sent = [
        await api.post("/jobs", body, headers={"Idempotency-Key": f"{number}"})
        for number in (*range(MOST_OPEN), 0, MOST_OPEN)
    ]
    assert [one.status_code for one in sent] == [201] * MOST_OPEN + [200, 409]


async def test_a_job_is_stopped(api: Served, stage: Stage) -> None:
    task = await stage.created()
    job = (await api.post("/jobs", {"action": "cancel", "all": True})).json()
    stopped = (await api.post(f"/jobs/{job['id']}/stop")).json()
    assert (stopped["state"], stopped["stop_requested_by"]) == ("running", "127.0.0.1")
    async with running(stage.service.jobs):
        assert (await ended(api, job))["state"] == "stopped"
    again = await api.post(f"/jobs/{job['id']}/stop")
    assert (again.status_code, again.json()["state"]) == (200, "stopped")
    assert (await stage.task(task.id)).status is Status.NEW


async def test_jobs_are_listed_page_by_page(api: Served) -> None:
    for _ in range(3):
        await api.post("/jobs", {"action": "cancel", "queue": "a"})
    first = (await api.get("/jobs?limit=2")).json()
    rest = (await api.get(f"/jobs?limit=2&cursor={first['next_cursor']}")).json()
    ids = [job["id"] for job in first["items"] + rest["items"]]
    assert ids == sorted(ids, reverse=True)
    assert (len(ids), rest["next_cursor"]) == (3, None)
    assert (await api.get("/jobs?cursor=x")).status_code == 400


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"action": "cancel"}, ""),
        ({"queue": "a"}, "/action"),
        ({"action": "purge", "queue": "a"}, "/action"),
        ({"action": "cancel", "queue": "a", "all": True}, "/all"),
        ({"action": "cancel", "status": ["failed"]}, "/status"),
        ({"action": "retry", "status": ["failed", "new"]}, "/status"),
        ({"action": "cancel", "queue": "a", "delay_s": 1}, "/delay_s"),
        ({"action": "cancel", "queue": "a", "per_second": 1}, "/per_second"),
        ({"action": "retry", "queue": "a", "per_second": 0}, "/per_second"),
        ({"action": "retry", "queue": "a", "per_second": 1e9}, "/per_second"),
        ({"action": "retry", "queue": "a", "delay_s": 1e18}, "/delay_s"),
        ({"action": "retry", "queue": "a", "limit": 0}, "/limit"),
        ({"action": "retry", "queue": "a", "limit": 2**40}, "/limit"),
        ({"action": "retry", "label": ["a=1", "a=2"]}, "/label"),
        ({"action": "retry", "queue": "a", "dry_run": True}, "/dry_run"),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_place(
    api: Served, stage: Stage, body: dict[str, Any], pointer: str
) -> None:
    response = await api.post("/jobs", body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == pointer
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.job") == 0


@pytest.mark.parametrize(
    "field", [{"delay_s": 31_536_000}, {"per_second": 0.01}, {"per_second": 100_000}]
)
async def test_the_longest_pace_is_done(api: Served, stage: Stage, field: dict[str, float]) -> None:
    await fail(stage, queue="a")
    job = (await api.post("/jobs", {"action": "retry", "queue": "a", **field})).json()
    async with running(stage.service.jobs):
        found = await ended(api, job)
    assert (found["state"], found["changed"]) == ("done", 1)
    assert found["per_second"] == field.get("per_second")


async def test_one_job_too_many_and_one_that_is_not_there_are_refused(api: Served) -> None:
    for _ in range(MOST_OPEN):
        assert (await api.post("/jobs", {"action": "cancel", "queue": "a"})).status_code == 201
    refused = await api.post("/jobs", {"action": "cancel", "queue": "a"})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/job-limit-reached")
    assert refused.json()["limit"] == MOST_OPEN
    for method, path in (("GET", "/jobs/{}"), ("POST", "/jobs/{}/stop")):
        missing = await api.http.request(method, path.format(uuid4()))
        assert (missing.status_code, missing.json()["type"]) == (404, "/problems/job-not-found")
        invalid = await api.http.request(method, path.format("x"))
        assert invalid.status_code == 422


async def test_a_key_for_some_queues_changes_only_these_and_sees_its_own_jobs(
    required: Served, stage: Stage
) -> None:
    own, foreign = await stage.created(queue="mail"), await stage.created(queue="secret")
    grants = ("tasks:read queue=mail", "tasks:operate queue=mail")
    mine, other, everyone = [
        {"headers": shown(await a_new_key(stage.database, *some))}
        for some in (grants, grants, ("tasks:read", "tasks:operate"))
    ]
    job = (await required.post("/jobs", {"action": "cancel", "all": True}, **mine)).json()
    async with running(another(stage)):
        assert (await ended(required, job, **mine))["changed"] == 1
    assert (await stage.task(own.id)).status is Status.CANCELLED
    assert (await stage.task(foreign.id)).status is Status.NEW
    assert (await required.get(f"/jobs/{job['id']}", **other)).status_code == 404
    assert (await required.post(f"/jobs/{job['id']}/stop", **other)).status_code == 404
    assert (await required.get("/jobs", **other)).json()["items"] == []
    assert (await required.get("/jobs", **everyone)).json()["items"][0]["id"] == job["id"]
    reader = shown(await a_new_key(stage.database, "tasks:read"))
    for method, path in (("GET", "/jobs"), ("POST", "/jobs"), ("POST", f"/jobs/{job['id']}/stop")):
        response = await required.http.request(method, path, headers=reader)
        assert response.status_code == 403
