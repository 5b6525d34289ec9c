"""Idempotency keys that were used before API keys were required: whom they still give their task, and whom not."""

from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.system import CreatedTask
from taskmill.operations import api_keys
from taskmill.operations.api_keys import NewApiKey
from taskmill.operations.earlier_keys import EarlierKeys
from taskmill.operations.producer_keys import ProducerKeys
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.builders import a_draft, a_key
from tests.support.intake import producing, taking_in, until_counted
from tests.support.stage import Stage

ORDER = {"name": "order 17", "queue": "billing", "payload": {"order": 17}}


@pytest.fixture
async def earlier(stage: Stage) -> str:
    """The id of a task that was created while no keys were required, with the key `order-17`."""
    async with serving(stage.service) as served:
        made = await served.post("/tasks", ORDER, headers={"idempotency-key": "order-17"})
        assert made.status_code == 201
        task_id: str = made.json()["id"]
        return task_id


@pytest.fixture
async def required(stage: Stage, earlier: str) -> AsyncIterator[Served]:
    """The same service, which requires keys from now on."""
    assert earlier
    stage.creation.earlier_keys = EarlierKeys(stage.database)
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def create(
    served: Served, key: NewApiKey, body: object = ORDER, idempotency_key: str = "order-17"
) -> tuple[int, str]:
    headers = {**shown(key), "idempotency-key": idempotency_key}
    response = await served.post("/tasks", body, headers=headers)
    return response.status_code, response.json().get("id", "")


async def test_a_request_that_is_repeated_after_keys_became_required_makes_no_second_task(
    required: Served, stage: Stage, earlier: str
) -> None:
    key = await a_new_key(stage.database, "tasks:create", "tasks:read queue=billing")
    assert await create(required, key) == (200, earlier)
    assert await create(required, key) == (200, earlier), "not only once"
    status, other = await create(required, key, idempotency_key="order-18")
    assert (status, other != earlier) == (201, True)
    item = {**ORDER, "idempotency_key": "order-17"}
    batch = [item, {**item, "idempotency_key": "order-19"}]
    made = await required.post("/tasks/batch", batch, headers=shown(key))
    assert made.json()["ids"][0] == earlier
    lines = b"\n".join(map(orjson.dumps, batch))
    ndjson = {"content-type": "application/x-ndjson"}
    streamed = await required.post("/tasks/batch", lines, headers={**shown(key), **ndjson})
    ids = [orjson.loads(line)["id"] for line in streamed.text.splitlines()]
    assert ids == made.json()["ids"]


async def test_another_body_with_an_earlier_key_is_a_new_task(
    required: Served, stage: Stage, earlier: str
) -> None:
    key = await a_new_key(stage.database, "tasks:create", "tasks:read")
    other = {**ORDER, "payload": {"order": 18}}
    status, made = await create(required, key, other)
    assert (status, made != earlier) == (201, True), "a conflict would say that there was a request"
    assert await create(required, key, other) == (200, made)
    assert (await create(required, key))[0] == 422, "it is a key of its own by now"


@pytest.mark.parametrize("grants", [(), ("tasks:read queue=mail",), ("worker", "tasks:operate")])
async def test_who_may_not_read_the_queue_learns_nothing_of_an_earlier_key(
    required: Served, stage: Stage, earlier: str, grants: tuple[str, ...]
) -> None:
    key = await a_new_key(stage.database, "tasks:create queue=billing", *grants)
    status, made = await create(required, key)
    assert (status, made != earlier) == (201, True)
    assert await create(required, key) == (200, made)
    fresh, _ = await create(required, key, idempotency_key="never used")
    assert fresh == status


async def test_the_key_of_its_own_comes_before_an_earlier_one(
    required: Served, stage: Stage, earlier: str
) -> None:
    narrow = await a_new_key(stage.database, "tasks:create", name="billing")
    _, own = await create(required, narrow)
    assert own != earlier
    await api_keys.revoke(stage.owner_database, narrow.key.id)
    wide = await a_new_key(stage.database, "tasks:create", "tasks:read", name="billing")
    assert await create(required, wide) == (200, own)


async def test_an_earlier_key_ends_when_it_expires(
    required: Served, stage: Stage, earlier: str
) -> None:
    key = await a_new_key(stage.database, "tasks:create", "tasks:read")
    await stage.sql.execute("UPDATE taskmill.idempotency SET expires_at = now()")
    status, made = await create(required, key)
    assert (status, made != earlier) == (201, True)


async def test_a_payload_that_is_refused_by_now_is_the_task_of_its_earlier_key(
    stage: Stage,
) -> None:
    key = a_key("order-20")
    made = await stage.creation.create(a_draft(source="rest", idempotency=key))
    stage.creation.earlier_keys = EarlierKeys(stage.database)
    owned = replace(key, owner="billing", may_be_earlier=True)
    refused = InvalidInput.at("/payload", "less", "more")
    draft = a_draft(source="rest", idempotency=owned, payload_error=refused)
    [again] = await stage.creation.create_all([draft])
    assert (again.task.id, again.replayed) == (made.task.id, True)
    [stored] = await stage.creation.store_each(stage.creation.with_ids([draft]))
    assert isinstance(stored, CreatedTask)
    assert stored.task.id == made.task.id


async def test_keys_of_messages_are_not_those_of_requests(stage: Stage) -> None:
    """Messages have no API keys, so theirs go on as they are."""
    key = a_key("order-21")
    made = await stage.creation.create(a_draft(source="amqp", idempotency=key))
    stage.creation.earlier_keys = EarlierKeys(stage.database)
    owned = replace(key, owner="billing", may_be_earlier=True)
    other = await stage.creation.create(a_draft(source="rest", idempotency=owned))
    assert other.task.id != made.task.id


async def test_once_no_earlier_key_is_left_nothing_is_looked_for(
    required: Served, stage: Stage
) -> None:
    keys = stage.creation.earlier_keys
    assert keys is not None
    await keys.refresh()
    mine = replace(a_key(), owner="billing", may_be_earlier=True)
    draft = a_draft(source="rest", queue="billing", idempotency=mine)
    assert keys.may_have(draft)
    assert not keys.may_have(
        a_draft(source="rest", idempotency=replace(mine, may_be_earlier=False))
    )
    assert not keys.may_have(a_draft(source="rest"))
    assert stage.creation.begin(draft) is None
    key = await a_new_key(stage.database, "tasks:create")
    await create(required, key)
    await stage.sql.execute("DELETE FROM taskmill.idempotency WHERE scope = 'rest'")
    await keys.refresh()
    assert not keys.may_have(draft), "those of API keys do not count"
    begun = stage.creation.begin(draft)
    assert begun is not None
    await begun


async def test_a_message_that_comes_again_after_keys_became_required_makes_no_second_task(
    stage: Stage, broker_url: str
) -> None:
    producer_key = await a_new_key(
        stage.database, "tasks:create", "tasks:read queue=billing", name="taskmill"
    )
    user = producer_key.key.draft.name
    producers, keys = ProducerKeys(stage.database, stage.clock), EarlierKeys(stage.database)
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            await producer.send(ORDER, user_id=user, message_id="order-17")
            await until_counted(stage, 1, 0)
        async with taking_in(stage, broker_url, producers=producers, earlier_keys=keys):
            await producer.send(ORDER, user_id=user, message_id="order-17")
            await producer.send(ORDER, user_id=user, message_id="order-18")
            await until_counted(stage, 2, 0)
            await keys.refresh()
            await producer.send(ORDER, user_id=user, message_id="order-17")
            await producer.send(ORDER, user_id=user, message_id="order-19")
            await until_counted(stage, 3, 0)
