"""What a key for some queues only may follow and change at once: what is in its queues."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from taskmill.domain.lifecycle import Failed
from taskmill.domain.task import Task
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.builders import ERROR
from tests.support.feed import a_stream, all_numbered, taken, until
from tests.support.stage import Stage


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def interleaved(stage: Stage, count: int = 6, **parts: Any) -> tuple[list[Task], list[Task]]:  # noqa: ANN401 - as `created`
    """Tasks of queue mail, and as many of queue secret between them."""
    own, foreign = [], []
    for _ in range(count):
        foreign.append(await stage.created(queue="secret", type="send", **parts))
        own.append(await stage.created(queue="mail", type="send", **parts))
    return own, foreign


def ids_of(tasks: list[Task]) -> list[str]:
    return [str(task.id) for task in tasks]


@pytest.mark.usefixtures("numbered")
@pytest.mark.parametrize("query", ["", "&queue=secret&queue=mail", "&type=send", "&status=new"])
async def test_a_stream_has_changes_of_visible_queues_only_whether_it_catches_up_or_not(
    required: Served, stage: Stage, query: str
) -> None:
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail"))
    before, _ = await interleaved(stage)
    await all_numbered(stage)
    async with a_stream(required.http, f"?after=0{query}", key=key) as stream:
        seen = await taken(stream, len(before))
        await until(stream, "live")
        later, _ = await interleaved(stage)
        seen += await taken(stream, len(later))
    assert [change["task_id"] for change in seen] == ids_of(before + later)


@pytest.mark.usefixtures("numbered")
async def test_a_stream_of_a_task_of_others_is_like_one_of_a_task_that_is_not_there(
    required: Served, stage: Stage
) -> None:
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail"))
    foreign, own = await stage.created(queue="secret"), await stage.created(queue="mail")
    await all_numbered(stage)
    query = f"?task={foreign.id}&task={own.id}"
    async with a_stream(required.http, f"{query}&after=0", key=key) as stream:
        [first] = await taken(stream, 1)
        await until(stream, "live")
        await stage.service.cancel(foreign.id)
        await stage.service.cancel(own.id)
        [second] = await taken(stream, 1)
    assert [first["task_id"], second["task_id"]] == ids_of([own, own])


@pytest.mark.usefixtures("numbered")
async def test_a_stream_has_a_queue_that_appears_while_it_is_open(
    required: Served, stage: Stage
) -> None:
    key = shown(await a_new_key(stage.database, "tasks:read queue=billing.*"))
    async with a_stream(required.http, key=key) as stream:
        await until(stream, "ok")
        await stage.created(queue="billing")
        made = await stage.created(queue="billing.new")
        [change] = await taken(stream, 1)
    assert (change["task_id"], change["queue"]) == (str(made.id), "billing.new")


SELECTIONS = [{"all": True}, {"type": "send"}, {"queue": "secret"}, {"name": "a task"}]


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
@pytest.mark.parametrize("what", ["cancel", "retry"])
async def test_a_sweep_counts_and_changes_what_is_in_the_queues_of_the_key_only(
    required: Served,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    selection: dict[str, object],
) -> None:
    monkeypatch.setattr("taskmill.operations.sweep.BUDGET_S", 0.0)
    monkeypatch.setattr("taskmill.operations.sweep.CHUNK", 2)
    own, foreign = await interleaved(stage, name="a task")
    if what == "retry":
        lease = await stage.open_lease()
        for one in await stage.take(lease):
            await stage.end(one, lease, Failed(error=ERROR))
    before = [await stage.task(task.id) for task in foreign]
    # It may read all queues: what counts is the scope that the sweep needs.
    key = shown(await a_new_key(stage.database, "tasks:operate queue=mail*", "tasks:read"))
    expected = 0 if "queue" in selection else len(own)
    matched = []
    for dry_run in (True, False):
        body: dict[str, object] | None = {**selection, "dry_run": dry_run}
        steps = []
        while body is not None:
            response = await required.post(f"/tasks/{what}", body, headers=key)
            assert response.status_code == 200, response.text
            steps.append(response.json())
            cursor = steps[-1]["next_cursor"]
            body = None if cursor is None else {**body, "cursor": cursor}
        matched.append(sum(step["matched"] for step in steps))
        assert sum(step["changed"] for step in steps) == (0 if dry_run else expected)
    assert matched == [expected, expected]
    assert [await stage.task(task.id) for task in foreign] == before


async def test_a_sweep_needs_the_scope_for_some_queue(required: Served, stage: Stage) -> None:
    key = shown(await a_new_key(stage.database, "tasks:read"))
    refused = await required.post("/tasks/cancel", {"all": True}, headers=key)
    assert (refused.status_code, refused.json()["scope"]) == (403, "tasks:operate")


def facts_of(explanation: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The facts of an explanation without times, which pass."""
    passing = {"due_in_s", "ready_for_s", "claimed_per_second", "about_s"}
    return {
        blocker["blocker"]: {
            name: value
            for name, value in blocker["facts"].items()
            if name not in passing and not name.endswith("_at")
        }
        for blocker in explanation["blockers"]
    }


@pytest.mark.parametrize("foreign_running", [0, 3, 100])
async def test_an_explanation_names_nothing_of_other_queues(
    required: Served, stage: Stage, foreign_running: int
) -> None:
    shared = await stage.open_lease(worker="shared", queues=("mail", "secret"))
    for _ in range(foreign_running):
        await stage.created(queue="secret", type="only-secret")
    assert len(await stage.take(shared)) == foreign_running
    await stage.open_lease(worker="stranger", queues=("secret", "hidden"))
    task = await stage.created(queue="mail", type="send")
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail"))
    response = await required.get(f"/tasks/{task.id}/explain", headers=key)
    assert response.status_code == 200, response.text
    for hidden in ("secret", "hidden", "stranger"):
        assert hidden not in response.text
    facts = facts_of(response.json())
    assert facts["no_worker"]["workers_alive"] == 1
    assert [worker["queues"] for worker in facts["no_worker"]["workers"]] == [["mail"]]
    assert facts["no_free_slot"] == {"slots": 100, "running": None, "is_counted": False}
    is_full = foreign_running == 100
    assert response.json()["blocker"] == ("no_free_slot" if is_full else "not_claimed")
    assert f"{foreign_running} of" not in response.text
    everything = shown(await a_new_key(stage.database, "tasks:read"))
    whole = facts_of((await required.get(f"/tasks/{task.id}/explain", headers=everything)).json())
    assert whole["no_free_slot"]["running"] == foreign_running
    assert whole["no_worker"]["workers_alive"] == 2


async def test_without_a_worker_for_its_queues_a_key_sees_none(
    required: Served, stage: Stage
) -> None:
    await stage.open_lease(worker="stranger", queues=("secret",))
    task = await stage.created(queue="mail", type="send")
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail"))
    explanation = (await required.get(f"/tasks/{task.id}/explain", headers=key)).json()
    assert (explanation["blocker"], explanation["summary"]) == ("no_worker", "No worker lives.")
