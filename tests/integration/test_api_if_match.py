"""`If-Match` on cancel and retry: done only while the task has that version."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from taskmill.domain.errors import VersionMismatch
from taskmill.domain.lifecycle import Succeeded
from taskmill.storage import progress
from taskmill.storage.progress import Report
from tests.support.api import Served
from tests.support.builders import a_fence
from tests.support.safety import assert_safe
from tests.support.stage import Stage


async def act(api: Served, task: dict[str, Any], action: str, *tags: str) -> tuple[int, Any]:
    headers = [("if-match", tag) for tag in tags]
    response = await api.post(f"/tasks/{task['id']}/{action}", headers=headers)
    if response.status_code == 412:
        problem = response.json()
        assert problem["type"] == "/problems/version-mismatch"
        assert (problem["task_id"], problem["action"]) == (task["id"], action)
    return response.status_code, response.json()


@pytest.mark.parametrize(
    "tags",
    [
        ('"1.0"',),
        ('"1.7"',),
        ('W/"1.0"',),
        ("*",),
        ('"9.0", "1.0"',),
        ('"9.0"', '"x", W/"1.3"'),
        ('"other","1.0",',),
    ],
)
async def test_a_tag_of_its_version_lets_it_happen(api: Served, tags: tuple[str, ...]) -> None:
    task = await api.create()
    status, cancelled = await act(api, task, "cancel", *tags)
    assert (status, cancelled["status"], cancelled["version"]) == (200, "cancelled", 2)
    again = tuple(tag.replace("1.", "2.") for tag in tags)
    status, waiting = await act(api, task, "retry", *again)
    assert (status, waiting["status"], waiting["version"]) == (200, "new", 3)


@pytest.mark.parametrize("tag", ['"2.0"', 'W/"3.1"', '"other"', '""', '"11.0"', '"1"', '"1.0.0"'])
async def test_a_tag_of_another_version_changes_nothing(
    api: Served, stage: Stage, tag: str
) -> None:
    task = await api.create()
    assert (await act(api, task, "cancel", tag))[0] == 412
    assert (await api.get(f"/tasks/{task['id']}")).json() == task
    await api.post(f"/tasks/{task['id']}/cancel")
    stale = tag.replace("2.", "1.")
    assert (await act(api, task, "retry", stale))[0] == 412
    assert (await api.get(f"/tasks/{task['id']}")).json()["status"] == "cancelled"
    await assert_safe(stage.sql)


@pytest.mark.parametrize("tag", ["1.0", "", '"1.0', "*, *", '"1.0" "2.0"', "1"])
async def test_a_header_without_tags_is_refused(api: Served, tag: str) -> None:
    task = await api.create()
    status, problem = await act(api, task, "cancel", tag)
    assert status == 422
    assert problem["errors"][0]["pointer"] == "header:If-Match"


async def test_a_running_task_gets_a_cancel_request_at_its_version_only(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    task = {"id": str(taken.task.id)}
    assert (await act(api, task, "cancel", '"1.0"'))[0] == 412
    assert not (await stage.task(taken.task.id)).cancel_requested
    report = Report(fence=a_fence(taken, lease_id), share=0.5, message=None)
    await progress.store(stage.database, [report])
    now = await api.get(f"/tasks/{taken.task.id}")
    assert now.headers["etag"] == '"2.1"'
    assert (await act(api, task, "cancel", '"2.0"'))[0] == 202, "progress is no change"


async def test_a_version_that_fits_leaves_the_other_refusals(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    await stage.end(taken, lease_id, Succeeded(result=None))
    task = {"id": str(taken.task.id)}
    assert (await act(api, task, "cancel", '"3.0"'))[0] == 409
    assert (await act(api, task, "cancel", '"2.0"'))[0] == 412
    unknown = {"id": str(stage.ids())}
    assert (await act(api, unknown, "retry", '"1.0"'))[0] == 404
    waiting = await api.create()
    assert (await act(api, waiting, "retry", '"1.0"'))[0] == 409


async def test_of_many_requests_with_the_same_version_one_succeeds(stage: Stage) -> None:
    """Reading and then writing would let several succeed."""
    for _ in range(5):
        task = await stage.created()
        await stage.service.cancel(task.id, [1])
        refused: list[VersionMismatch] = []

        async def attempt(action: Awaitable[object], refused: list[VersionMismatch]) -> None:
            try:
                await action
            except VersionMismatch as error:
                refused.append(error)

        for action, version in ((stage.service.retry, 2), (stage.service.cancel, 3)):
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(attempt(action(task.id, [version]), refused))
        assert len(refused) == 8
        assert (await stage.task(task.id)).version == 4
    await assert_safe(stage.sql)
