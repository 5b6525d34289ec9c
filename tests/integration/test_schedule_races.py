"""Requests about a schedule that is replaced by somebody else's while they wait for its lock."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx
import pytest

from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.pages import serving_pages
from tests.support.polling import eventually
from tests.support.scheduling import Scheduler
from tests.support.sql import a_session
from tests.support.sql_schedules import put_schedule
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

SCOPES: Final = ("tasks:read", "tasks:create", "tasks:operate")
MINE: Final = tuple(f"{scope} queue=mail" for scope in SCOPES)
RANGE: Final = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
REQUESTS: Final[list[tuple[str, str, Any]]] = [
    ("PATCH", "", {"paused": True}),
    ("PATCH", "", {"paused": False, "catch_up": "all"}),
    ("DELETE", "", None),
    ("POST", "/run", None),
    ("POST", "/backfill", RANGE),
    ("POST", "/backfill", {**RANGE, "dry_run": True}),
    ("PUT", "", {"every": "PT1H", "task": {"name": "a", "queue": "mail"}}),
]
WAITING: Final = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
    )
"""


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def in_between(stage: Stage, sent: Any, take: str) -> httpx.Response:  # noqa: ANN401 - a coroutine
    """Send a request while its schedule is locked; others take that before the request goes on."""

    async def waits() -> bool:
        return bool(await stage.sql.fetchval(WAITING))

    async with a_session(stage) as other, asyncio.TaskGroup() as group, other.transaction():
        await other.execute(take)
        request = group.create_task(sent)
        await eventually(waits, "the request at the lock")
    response: httpx.Response = request.result()
    return response


async def state(stage: Stage) -> Mapping[str, Any]:
    """What is stored of all schedules, and how many tasks there are."""
    rows = await stage.sql.fetch(
        "SELECT s.name, s.queue, s.revision, c.paused_at"
        " FROM taskmill.schedule AS s JOIN taskmill.schedule_cursor AS c ON c.schedule_id = s.id"
    )
    tasks = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
    return {"schedules": [tuple(row) for row in rows], "tasks": tasks}


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
async def test_rights_are_those_for_the_schedule_that_is_locked(
    required: Served, stage: Stage, method: str, path: str, body: object
) -> None:
    await Scheduler(stage).put(task={"name": "a", "queue": "mail"})
    key = await a_new_key(stage.database, *MINE)
    sent = required.http.request(method, f"/schedules/report{path}", json=body, headers=shown(key))
    taken = "UPDATE taskmill.schedule SET queue = 'secret'"
    refused = await in_between(stage, sent, taken)
    assert refused.status_code == (403 if method == "PUT" else 404), refused.text
    assert await state(stage) == {"schedules": [("report", "secret", 1, None)], "tasks": 0}


async def test_what_sql_has_asked_for_meanwhile_is_deleted_by_nobody_who_may_not(
    required: Served, stage: Stage
) -> None:
    await put_schedule(stage.sql, task={"name": "a", "queue": "mail"})
    key = await a_new_key(stage.database, *MINE)
    # The entry of the request is written after the first check.
    await stage.sql.execute(
        "CREATE FUNCTION taskmill.of_others() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN UPDATE taskmill.schedule_request SET queue = 'secret'; RETURN NULL; END $$;"
        " CREATE TRIGGER of_others AFTER INSERT ON taskmill.audit_entry"
        " FOR EACH STATEMENT EXECUTE FUNCTION taskmill.of_others()"
    )
    refused = await required.http.delete("/schedules/report", headers=shown(key))
    assert refused.status_code == 404
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.schedule_request") == 1


@pytest.mark.parametrize("action", ["pause", "resume", "run", "delete"])
async def test_pages_check_the_rights_for_the_schedule_that_is_locked_as_well(
    stage: Stage, action: str
) -> None:
    """It may be read, so that it is there, and the right to act is for another queue."""
    await Scheduler(stage).put(task={"name": "a", "queue": "mail"})
    async with serving_pages(stage, REQUIRED) as pages:
        session = await visitor(pages, stage, "tasks:read", *MINE)
        sent = pages.post(f"/ui/schedules/report/{action}", headers=session | FORM)
        refused = await in_between(stage, sent, "UPDATE taskmill.schedule SET queue = 'secret'")
    assert refused.status_code == 403, refused.text
    assert await state(stage) == {"schedules": [("report", "secret", 1, None)], "tasks": 0}
