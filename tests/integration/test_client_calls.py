"""The client against the real API: the API knows its requests, and the responses fit its models."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from taskmill.client import (
    AsyncTaskmillClient,
    ContractRefused,
    DeliveryNotFound,
    InvalidInput,
    NotAllCreated,
    TaskNotFound,
    TypeNotFound,
    WebhookNotFound,
)
from taskmill.domain.signing import MASKED, is_secret
from tests.support.api import serving
from tests.support.cutting import Cutter, a_cutter
from tests.support.stage import Stage

HOOK = "https://example.org/hooks"


@pytest.fixture
async def client(stage: Stage) -> AsyncIterator[AsyncTaskmillClient]:
    async with serving(stage.service) as served, AsyncTaskmillClient(served.url) as opened:
        yield opened


async def test_a_webhook_and_its_deliveries_through_the_client(
    client: AsyncTaskmillClient,
) -> None:
    made = await client.create_webhook(HOOK, queues=["mail"], statuses=["failed"])
    assert is_secret(made.secret)
    assert [one.id for one in await client.webhooks()] == [made.id]
    changed = await client.change_webhook(made.id, description="d", rotate_secret=True)
    assert is_secret(changed.secret)
    assert changed.secret != made.secret
    assert (await client.webhook(made.id)).secret == MASKED
    tests = [(await client.test_webhook(made.id)).id for _ in range(3)]
    found = [one.id async for one in client.deliveries(made.id, state="pending", page_size=2)]
    assert found == tests[::-1]
    assert (await client.resend_delivery(made.id, tests[0])).state == "pending"
    with pytest.raises(DeliveryNotFound):
        await client.resend_delivery(made.id, 4711)
    await client.delete_webhook(made.id)
    with pytest.raises(WebhookNotFound):
        await client.webhook(made.id)


async def test_a_tasks_callback_through_the_client(client: AsyncTaskmillClient) -> None:
    task = await client.create("x", callback_url=HOOK)
    assert ((await client.callback(task.id)).callback_url, task.id) == (HOOK, task.id)
    missing = uuid4()
    with pytest.raises(TaskNotFound) as caught:
        await client.callback(missing)
    assert caught.value.task_id == missing


async def test_a_contract_through_the_client(client: AsyncTaskmillClient) -> None:
    schema = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
    await client.register_type("mail", schema, {"queue": "mails", "retry": {"base_s": 1}})
    assert [(one.name, one.version) for one in await client.types()] == [("mail", 1)]
    assert (await client.create("x", type="mail", payload={"to": "a"})).queue == "mails"
    with pytest.raises(InvalidInput) as refused:
        await client.create("x", type="mail", payload={"to": 1})
    assert refused.value.pointer == "/payload/to"
    with pytest.raises(ContractRefused) as unusable:
        await client.register_type("mail", {"$ref": "https://example.org/schema"})
    assert unusable.value.pointer.startswith("/payload_schema")
    assert (await client.get_type("mail")).versions[0].payload_schema == schema
    await client.drop_type("mail")
    with pytest.raises(TypeNotFound):
        await client.get_type("mail")


async def test_many_tasks_through_the_client(client: AsyncTaskmillClient) -> None:
    tasks = [{"name": f"task {number}", "idempotency_key": str(number)} for number in range(120)]
    ids = await client.create_many(tasks)
    assert await client.create_many(tasks) == ids
    assert [task.id async for task in client.list(order="asc", limit=50)] == list(ids)
    wrong: list[dict[str, object]] = [
        {"name": "a"},
        {"name": "b", "priority": 11},
        {"name": "", "x": 1},
    ]
    with pytest.raises(NotAllCreated) as caught:
        await client.create_many(wrong)
    first = caught.value.refused[1]
    assert isinstance(first, InvalidInput)
    assert (first.pointer, set(caught.value.refused)) == ("/priority", {1, 2})
    assert (await client.get(caught.value.ids[0] or "")).name == "a"


async def test_connections_that_are_cut_in_the_middle_make_no_task_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.client.tries._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("taskmill.client.tries._LONGEST_PAUSE_S", 0.02)
    tasks = [{"name": f"task {number}"} for number in range(2_000)]
    async with (
        serving(stage.service) as served,
        a_cutter(served.url) as cutter,
        AsyncTaskmillClient(cutter.url, retries=200) as client,
        asyncio.TaskGroup() as group,
    ):
        cutting = group.create_task(_cut_in_each_response(cutter, stage))
        ids = [outcome.id async for outcome in client.create_each(tasks, chunk=500)]
        cutting.cancel()
    rows = await stage.sql.fetch("SELECT id, name FROM taskmill.task")
    names = {row["id"]: row["name"] for row in rows}
    assert len(names) == 2_000
    assert [names[one] for one in ids if one] == [task["name"] for task in tasks]
    assert cutter.connections > 4, "it was cut"


async def _cut_in_each_response(cutter: Cutter, stage: Stage) -> None:
    """Cut whenever there are more tasks than at the last cut: every request loses a part of its response."""
    seen = 0
    while True:
        count = await stage.sql.fetchval("SELECT count(*) FROM taskmill.task")
        if count > seen:
            seen = count
            cutter.cut()
        await asyncio.sleep(0)
