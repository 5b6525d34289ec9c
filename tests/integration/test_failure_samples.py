"""What the tasks of a kind of failures have in common, and one beside a task that succeeded, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import pytest

from taskmill.domain.error_kinds import kind_id
from taskmill.domain.lifecycle import Succeeded
from taskmill.wire.failure_samples import FailureSampleView
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.commands import Taskmill, taskmill
from tests.support.failing import fail
from tests.support.stage import Stage

__all__ = ["taskmill"]

ID = kind_id("E in shop.call")
PATH = f"/failures/{ID}/sample"


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def failed(stage: Stage, message: str = "no", **parts: Any) -> UUID:  # noqa: ANN401 - as `fail`
    return await fail(stage, message, place="shop.call", **parts)


async def succeed(stage: Stage, **parts: object) -> UUID:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, **parts)
    await stage.end(taken, lease_id, Succeeded())
    return taken.task.id


async def sampled(api: Served, path: str = PATH, **options: Any) -> FailureSampleView:  # noqa: ANN401 - httpx's own
    response = await api.get(path, **options)
    assert response.status_code == 200, response.text
    return FailureSampleView.model_validate_json(response.content)


async def test_a_sample_says_what_its_tasks_have_in_common(api: Served, stage: Stage) -> None:
    ids = [
        await failed(stage, f"host {number}", queue="mail", labels='{"zone":"eu"}')
        for number in range(3)
    ]
    await fail(stage, "another one")
    await succeed(stage, type="pay", labels='{"zone":"us"}')
    found = await sampled(api)
    assert [one.id for one in found.tasks] == ids[::-1]
    assert {(one.queue, one.type) for one in found.tasks} == {("mail", "pay")}
    assert [one.message for one in found.tasks] == ["host 2", "host 1", "host 0"]
    assert [(one.name, one.tasks) for one in found.messages] == [("host #", 3)]
    assert [one.tasks for one in found.workers] == [3]
    [label] = found.labels
    assert (label.key, label.value, label.failed, label.succeeded) == ("zone", "eu", 1.0, 0.0)
    assert found.succeeded == 1


async def test_examples_are_stepped_through(api: Served, stage: Stage) -> None:
    first, second, third = [await failed(stage, f"message {number}") for number in "abc"]
    newest = (await sampled(api)).example
    assert newest is not None
    assert (newest.task.id, newest.number, newest.newer_id, newest.older_id) == (
        third,
        1,
        None,
        second,
    )
    middle = (await sampled(api, params={"task": str(second).upper()})).example
    assert middle is not None
    assert (middle.task.message, middle.number, middle.newer_id, middle.older_id) == (
        "message b",
        2,
        third,
        first,
    )
    assert (middle.success_id, middle.differences) == (None, None)


async def test_a_message_is_whole_only_in_the_example(api: Served, stage: Stage) -> None:
    await failed(stage, "x" * 5_000)
    found = await sampled(api)
    assert found.example is not None
    assert (len(found.tasks[0].message), len(found.example.task.message)) == (1_000, 5_000)


async def test_the_payload_is_compared_with_that_of_a_task_that_succeeded(
    api: Served, stage: Stage
) -> None:
    success = await succeed(stage, type="pay", payload='{"to":"bob","more":1}')
    await failed(stage, payload='{"to":"ada","less":2}')
    example = (await sampled(api)).example
    assert example is not None
    assert (example.success_id, example.is_cut) == (success, False)
    assert [
        (one.pointer, str(one.presence), one.here, one.there) for one in example.differences or ()
    ] == [
        ("/to", "other", '"ada"', '"bob"'),
        ("/less", "only_here", "2", None),
        ("/more", "only_there", None, "1"),
    ]


async def test_long_values_and_many_differences_are_cut(api: Served, stage: Stage) -> None:
    await succeed(stage, type="pay", payload="{}")
    many = {f"field {number}": "x" * 1_000 for number in range(101)}
    await failed(stage, payload=orjson.dumps(many).decode())
    example = (await sampled(api)).example
    assert example is not None
    assert example.differences is not None
    assert (len(example.differences), example.is_cut) == (100, True)
    assert {len(one.here or "") for one in example.differences} == {300}


async def test_secret_values_are_masked_and_not_compared(required: Served, stage: Stage) -> None:
    card = '["/card"]'
    await succeed(stage, type="pay", payload='{"card":"4242","to":"b"}', payload_secrets=card)
    await failed(stage, payload='{"card":"1111","to":"a"}', payload_secrets=card)
    for grants, pointers in (
        (["tasks:read"], ["/to"]),
        (["tasks:read", "tasks:read-secret"], ["/card", "/to"]),
    ):
        key = await a_new_key(stage.owner_database, *grants)
        found = await required.get(PATH, headers=shown(key))
        assert ("1111" in found.text, "4242" in found.text) == (len(pointers) == 2,) * 2
        example = FailureSampleView.model_validate_json(found.content).example
        assert example is not None
        assert sorted(one.pointer for one in example.differences or ()) == pointers


async def test_what_is_in_other_queues_changes_nothing_that_a_key_for_some_sees(
    required: Served, stage: Stage
) -> None:
    key = await a_new_key(stage.owner_database, "tasks:read queue=mail")
    await failed(stage, "own", queue="mail")
    before = (await required.get(PATH, headers=shown(key))).json()
    assert len(before["tasks"]) == 1
    other = await failed(stage, "secret", queue="secret", labels='{"a":"b"}')
    await succeed(stage, type="pay", queue="secret", payload='{"secret":1}')
    assert (await required.get(PATH, headers=shown(key))).json() == before
    chosen = await required.get(PATH, params={"task": str(other)}, headers=shown(key))
    assert chosen.status_code == 422
    nobody = await a_new_key(stage.owner_database, "tasks:create")
    assert (await required.get(PATH, headers=shown(nobody))).status_code == 403
    news = await a_new_key(stage.owner_database, "tasks:read queue=news")
    assert (await required.get(PATH, headers=shown(news))).status_code == 404


async def test_a_kind_without_tasks_that_are_still_failed_has_no_example(
    api: Served, stage: Stage
) -> None:
    task_id = await failed(stage)
    await stage.service.retry(task_id)
    found = await sampled(api)
    assert (found.tasks, found.messages, found.labels, found.example) == ([], [], [], None)


@pytest.mark.parametrize("task", ["", "x", "4711", "{task}", "0" * 36, str(UUID(int=7))])
async def test_what_is_no_task_of_the_sample_is_refused(
    api: Served, stage: Stage, task: str
) -> None:
    await failed(stage)
    refused = await api.get(PATH, params={"task": task})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "query:task"


async def test_an_unknown_kind_has_no_sample(api: Served) -> None:
    assert (await api.get(PATH)).json()["type"] == "/problems/failure-kind-not-found"
    wrong = await api.get("/failures/nonsense/sample")
    assert wrong.json()["errors"][0]["pointer"] == "path:id"


async def test_the_command_shows_the_sample_and_the_example(
    api: Served, stage: Stage, taskmill: Taskmill
) -> None:
    success = await succeed(stage, type="pay", payload='{"to":"bob"}', labels='{"zone":"us"}')
    older = await failed(stage, "host 1", payload='{"to":"ada"}', labels='{"zone":"eu"}')
    newest = await failed(stage, "host 2", payload='{"to":"eve"}', labels='{"zone":"eu"}')

    async def printed(*words: str) -> str:
        arguments = ("failure", "show", ID, *words, "--url", api.url)
        status, out, err = await asyncio.to_thread(taskmill, *arguments)
        assert status == 0, err
        lines = [one for one in out.splitlines() if "module=taskmill" not in one]
        return "\n".join(lines)

    text = await printed()
    for part in (
        "host #",
        "zone=eu",
        "100% instead of 0%",
        f"Example 1 of 2  {newest}",
        str(older),
        str(success),
        '/to  "eve"  "bob"',
    ):
        assert part in text
    assert f"Example 2 of 2  {older}" in await printed("--task", str(older))
    found = orjson.loads(await printed("--json"))
    assert (found["id"], found["sample"]["example"]["task"]["id"]) == (ID, str(newest))
    await stage.service.retry(older)
    await stage.service.retry(newest)
    assert "no task is still failed in this way" in await printed()
