"""Requests about a task that is moved to a queue of others while they wait."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

import httpx
import pytest

from taskmill.domain.rescheduling import Rescheduling
from taskmill.domain.task import Task
from taskmill.storage.statements import statement
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.pages import serving_pages
from tests.support.polling import eventually
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

MINE = ("tasks:read queue=mail", "tasks:operate queue=mail")
WAITING = """
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


async def moved_meanwhile(
    stage: Stage, task: Task, sent: Coroutine[Any, Any, httpx.Response]
) -> httpx.Response:
    """Send a request while somebody else moves its task, before the request gets its lock."""

    async def waits() -> bool:
        return bool(await stage.sql.fetchval(WAITING))

    async with (
        asyncio.TaskGroup() as group,
        stage.database.hot() as connection,
        connection.transaction(),
    ):
        arguments = (task.id, task.version, "secret", task.priority, task.run_at)
        assert await connection.fetch(statement("reschedule_task"), *arguments)
        request = group.create_task(sent)
        await eventually(waits, "the request at the lock")
    return request.result()


@pytest.mark.parametrize("how", ["cancel", "reschedule", "page"])
async def test_who_may_not_operate_where_a_task_is_moved_changes_it_no_more(
    required: Served, stage: Stage, how: str
) -> None:
    task = await stage.created(queue="mail", delay=timedelta(hours=1))
    path, headers = f"/tasks/{task.id}", shown(await a_new_key(stage.database, *MINE))
    if how == "page":
        async with serving_pages(stage, REQUIRED) as pages:
            session = await visitor(pages, stage, *MINE)
            sent = pages.post(f"/ui{path}/cancel", headers=session | FORM)
            refused = await moved_meanwhile(stage, task, sent)
    elif how == "cancel":
        sent = required.post(f"{path}/cancel", headers=headers)
        refused = await moved_meanwhile(stage, task, sent)
    else:
        sent = required.http.patch(path, json={"delay_s": 0}, headers=headers)
        refused = await moved_meanwhile(stage, task, sent)
    assert refused.status_code == 404, refused.text
    assert await stage.event_types(task.id) == ["created", "rescheduled"]


async def test_who_sees_a_task_where_it_is_moved_cancels_it_there(
    required: Served, stage: Stage
) -> None:
    task = await stage.created(queue="mail")
    seeing = await a_new_key(stage.database, "tasks:operate queue=mail,secret")
    sent = required.post(f"/tasks/{task.id}/cancel", headers=shown(seeing))
    assert (await moved_meanwhile(stage, task, sent)).json()["status"] == "cancelled"
    other = await stage.created(queue="mail")
    headers = shown(seeing) | {"if-match": '"1.0"'}
    sent = required.post(f"/tasks/{other.id}/cancel", headers=headers)
    assert (await moved_meanwhile(stage, other, sent)).status_code == 412


@pytest.mark.usefixtures("numbered")
async def test_a_long_poll_ends_without_the_task_when_that_is_moved_out_of_sight(
    required: Served, stage: Stage
) -> None:
    task = await stage.created(queue="mail", delay=timedelta(hours=1))
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail"))
    waiting = {"if-none-match": '"1.0"', "prefer": "wait=20"}

    async def polls() -> bool:
        return bool(required.app._context.feed._watches)

    async with asyncio.TaskGroup() as group:
        polled = group.create_task(required.get(f"/tasks/{task.id}", headers=key | waiting))
        await eventually(polls, "the long poll")
        await stage.service.reschedule(task.id, Rescheduling(queue="secret"))
    assert polled.result().status_code == 404
