"""The admin port of a process: alive, ready, counted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from taskmill.admin.app import AdminApp
from taskmill.admin.server import AdminServer
from taskmill.domain.errors import ConfigurationError
from taskmill.domain.system import BrokerPresence, BrokerState, Readiness
from taskmill.observability import metrics
from taskmill.operations.system import readiness
from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from tests.support.api import LogLines
from tests.support.stage import Stage

AWAY = BrokerState(presence=BrokerPresence.AWAY, policy="auto", trouble="nobody answers")
WELL = Readiness(parts={"database": None, "schema": None}, broker=AWAY)


async def well() -> Readiness:
    return WELL


@asynccontextmanager
async def serving(
    ready: Callable[[], Awaitable[Readiness]] = well,
    *,
    is_stopping: bool = False,
    timeout_s: float = 10.0,
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an admin port on a free one."""
    app = AdminApp(ready, lambda: is_stopping, timeout_s=timeout_s)
    server, stop = AdminServer(app, host="127.0.0.1", port=0), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(stop))
        await server.started.wait()
        try:
            async with httpx.AsyncClient(base_url=server.url or "", timeout=20) as http:
                yield http
        finally:
            stop.set()


async def test_it_is_ready_with_a_database_and_names_the_broker(stage: Stage) -> None:
    async with serving(lambda: readiness(stage.database)) as admin:
        assert (await admin.get("/healthz")).json() == {"status": "ok"}
        ready = await admin.get("/readyz")
        assert (ready.status_code, ready.headers["content-type"]) == (200, "application/json")
        assert ready.json() == {
            "status": "ready",
            "parts": {
                "database": "ok",
                "schema": "ok",
                "broker": "none (claims come from PostgreSQL)",
                "intake": "none (there is no broker)",
            },
        }


async def test_a_broker_that_is_away_makes_nothing_unready() -> None:
    async with serving() as admin:
        response = await admin.get("/readyz")
        assert response.status_code == 200
        assert response.json()["parts"]["broker"] == "away: nobody answers"


async def test_without_its_database_it_is_alive_and_not_ready() -> None:
    nowhere = Database("postgresql://u:secret@127.0.0.1:1/d", DatabaseSettings(connect_timeout_s=1))
    async with serving(lambda: readiness(nowhere)) as admin:
        refused = await admin.get("/readyz")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert refused.headers["content-type"] == "application/problem+json"
        assert "database" in refused.json()["detail"]
        assert "secret" not in refused.text
        assert (await admin.get("/healthz")).status_code == 200
        assert (await admin.get("/metrics")).status_code == 200
    await nowhere.close()


async def test_while_it_stops_it_is_not_ready() -> None:
    async with serving(is_stopping=True) as admin:
        response = await admin.get("/readyz")
        assert (response.status_code, response.json()["detail"]) == (503, "process: it is stopping")


async def test_metrics_come_in_the_format_of_prometheus() -> None:
    async with serving() as admin:
        response = await admin.get("/metrics")
        assert response.headers["content-type"] == metrics.CONTENT_TYPE
        assert "\ntaskmill_hints_published_total " in response.text


async def test_it_serves_three_addresses_and_no_more() -> None:
    async with serving() as admin:
        missing = await admin.get("/tasks")
        assert (missing.status_code, missing.json()["type"]) == (404, "/problems/not-found")
        wrong = await admin.post("/metrics")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD")
        head = await admin.head("/metrics")
        assert (head.status_code, head.content) == (200, b"")


async def test_a_request_whose_probe_hangs_or_fails_still_gets_a_response(
    log_lines: LogLines,
) -> None:
    async def hanging() -> Readiness:
        await asyncio.Event().wait()
        raise AssertionError("never set")

    async def broken() -> Readiness:
        raise ZeroDivisionError("no")

    async with serving(hanging, timeout_s=0.05) as admin:
        late = await admin.get("/readyz")
        assert (late.status_code, late.headers["retry-after"]) == (503, "1")
    async with serving(broken) as admin:
        failed = await admin.get("/readyz")
        assert (failed.status_code, "no" in failed.json()["detail"].split()) == (500, False)
    [line] = log_lines.named("admin.failed")
    assert "ZeroDivisionError" in line["exception"]


async def test_a_taken_port_is_reported_with_the_settings_that_choose_another() -> None:
    async with serving() as admin:
        port = admin.base_url.port
        assert port
        second = AdminServer(AdminApp(well, lambda: False), host="127.0.0.1", port=port)
        with pytest.raises(ConfigurationError, match="TASKMILL_ADMIN_PORT"):
            await second.run(asyncio.Event())
