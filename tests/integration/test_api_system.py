"""The state of the system over HTTP, and pausing queues."""

import pytest

from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from tests.support.api import Served, serving
from tests.support.stage import Stage, a_creation, a_rejections


async def test_counts_queues_and_workers_are_shown(api: Served, stage: Stage) -> None:
    await api.create(queue="mail")
    lease_id = await stage.open_lease(worker="node-1")
    await stage.take(lease_id)
    await api.create(queue="mail")
    stats = (await api.get("/stats")).json()
    assert (
        stats["total"],
        stats["by_status"]["new"],
        stats["by_queue"]["mail"]["in_progress"],
    ) == (
        2,
        1,
        1,
    )
    assert (stats["workers_alive"], stats["slots"], stats["running"]) == (1, 100, 1)
    [queue] = (await api.get("/queues")).json()["items"]
    assert (queue["name"], queue["paused"], queue["counts"]["new"]) == ("mail", False, 1)
    [worker] = (await api.get("/workers")).json()["items"]
    assert (worker["name"], worker["state"], worker["types"]) == ("node-1", "alive", ["*"])
    assert worker["running"] == 1


async def test_a_paused_queue_hands_out_nothing_until_it_is_resumed(
    api: Served, stage: Stage
) -> None:
    await api.create(queue="mail")
    lease_id = await stage.open_lease()
    paused = await api.http.patch("/queues/mail", json={"paused": True})
    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    assert await stage.take(lease_id) == []
    resumed = await api.http.patch("/queues/mail", json={"paused": False})
    assert (resumed.json()["paused"], resumed.json()["paused_at"]) == (False, None)
    assert len(await stage.take(lease_id)) == 1


async def test_an_invalid_change_is_refused(api: Served) -> None:
    await api.create(queue="mail")
    for path, body, status in (
        ("/queues/UPPER", b'{"paused":true}', 422),
        ("/queues/a%2Fb", b'{"paused":true}', 404),
        ("/queues/%00", b'{"paused":true}', 422),
        ("/queues/mail", b"{}", 422),
        ("/queues/mail", b'{"paused":"yes"}', 422),
        ("/queues/mail", b'{"paused":true,"x":1}', 422),
        ("/queues/mail", b"paused", 400),
    ):
        response = await api.http.patch(path, content=body)
        assert response.status_code == status, path
        assert response.headers["content-type"] == "application/problem+json"


async def test_as_many_queues_as_allowed_are_made(stage: Stage) -> None:
    creation = a_creation(stage.database, stage.clock, stage.ids, queue_limit=2)
    rejections = a_rejections(stage.database, creation, stage.ids)
    async with (
        creation,
        TaskReading(stage.database) as reading,
        serving(TaskService(stage.database, creation, reading, rejections)) as served,
    ):
        await served.create(queue="q1")
        await served.create(queue="q2")
        refused = await served.post("/tasks", {"name": "a", "queue": "q3"})
        assert (refused.status_code, refused.json()["type"]) == (
            422,
            "/problems/queue-limit-reached",
        )
        await served.create(queue="q1")


async def test_it_is_ready_until_the_schema_is_older_than_the_program(
    api: Served, stage: Stage
) -> None:
    assert (await api.get("/healthz")).json() == {"status": "ok"}
    ready = await api.get("/readyz")
    assert ready.json() == {
        "status": "ready",
        "parts": {
            "database": "ok",
            "schema": "ok",
            "broker": "none (claims come from PostgreSQL)",
            "intake": "none (there is no broker)",
        },
    }
    await stage.sql.execute("UPDATE taskmill.alembic_version SET version_num = '0000'")
    refused = await api.get("/readyz")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "taskmill migrate" in refused.json()["detail"]
    assert (await api.get("/healthz")).status_code == 200


async def test_metrics_have_the_format_that_prometheus_accepts(api: Served) -> None:
    response = await api.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\n# TYPE taskmill_messages_created_total counter\n" in response.text


async def test_it_is_not_ready_while_it_stops(stage: Stage) -> None:
    async with serving(stage.service) as served:
        served.app.stop_being_ready()
        response = await served.get("/readyz")
        assert (response.status_code, response.json()["detail"]) == (503, "process: it is stopping")
        assert (await served.get("/stats")).status_code == 200


async def test_a_queue_gets_a_time_for_its_ended_tasks_and_loses_it(api: Served) -> None:
    made = await api.http.patch("/queues/brief", json={"keep": "P3DT12H"})
    assert (made.status_code, made.json()["keep"], made.json()["paused"]) == (200, "P3DT12H", False)
    both = await api.http.patch("/queues/brief", json={"keep": "PT72H", "paused": True})
    assert (both.json()["keep"], both.json()["paused"]) == ("P3D", True)
    # A pause changes nothing of it.
    await api.http.patch("/queues/brief", json={"paused": False})
    [queue] = (await api.get("/queues")).json()["items"]
    assert (queue["keep"], queue["paused"]) == ("P3D", False)
    none = await api.http.patch("/queues/brief", json={"keep": None})
    assert none.json()["keep"] is None
    entries = (await api.get("/audit", params={"action": "queue.keep"})).json()["items"]
    assert [entry["details"] for entry in entries] == [
        {"keep": None},
        {"keep": "P3D"},
        {"keep": "P3DT12H"},
    ]


@pytest.mark.parametrize("keep", ["PT59M", "P381D", "P1M", "3d", 3, ""])
async def test_a_time_that_a_queue_may_not_have_is_refused(api: Served, keep: object) -> None:
    response = await api.http.patch("/queues/brief", json={"keep": keep})
    assert response.status_code == 422
    assert "from PT1H to P380D" in response.text
    assert (await api.get("/queues")).json()["items"] == []
