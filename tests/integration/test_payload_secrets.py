"""Fields of a payload that a task names as secret are masked as those that a contract marks."""

from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlencode

import orjson
import pytest

from taskmill.app import Context
from taskmill.client import NotAccepted
from taskmill.client.enqueue import enqueue
from taskmill.operations.api_keys import NewApiKey
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.settings import LimitSettings, Settings
from taskmill.wire.contracts.secret_fields import MASK
from tests.support import sql
from tests.support.api import LogLines, Served, serving
from tests.support.api_keys import a_new_key, shown
from tests.support.contracts import TYPE, a_contract, registered
from tests.support.intake import producing, taking_in
from tests.support.pages import serving_pages
from tests.support.stage import Stage
from tests.support.workers import a_worker, finished

CANARY: Final = "correct-horse-battery"
PAYLOAD: Final = {"to": "ann", "cards": [{"number": CANARY}], "token": CANARY}
SECRETS: Final = ["/cards/0/number", "/token"]
MASKED: Final = {"to": "ann", "cards": [{"number": MASK}], "token": MASK}
BODY: Final = {"name": "t", "payload": PAYLOAD, "payload_secrets": SECRETS, "type": TYPE}
WIDE: Final = Settings(auth="required", limits=LimitSettings(body_bytes=4 * LARGE_BYTES))
GRANTS: Final = ("tasks:create", "tasks:read", "tasks:operate", "worker")


@pytest.fixture
async def keyed(stage: Stage) -> AsyncIterator[Served]:
    async with serving(stage.service, WIDE) as served:
        yield served


async def readers(stage: Stage) -> tuple[NewApiKey, NewApiKey]:
    """A key that may not see secrets, and one that may."""
    blind = await a_new_key(stage.database, *GRANTS)
    return blind, await a_new_key(stage.database, *GRANTS, "tasks:read-secret")


@pytest.mark.parametrize("layers", [{}, {"sec-fetch-site": "none"}], ids=["fast path", "layers"])
async def test_every_response_masks_what_the_task_names_as_secret(
    keyed: Served, stage: Stage, layers: dict[str, str]
) -> None:
    blind, seeing = await readers(stage)
    for key, expected in ((blind, MASKED), (seeing, PAYLOAD)):
        headers = shown(key) | layers
        body = {**BODY, "idempotency_key": "same"}
        made = [await keyed.post("/tasks", body, headers=headers) for _ in range(2)]
        path = f"/tasks/{made[0].json()['id']}"
        read = await keyed.get(path, headers=headers)
        listed = (await keyed.get("/tasks", headers=headers)).json()["items"]
        for task in (*(one.json() for one in (*made, read)), *listed):
            assert (task["payload"], task["payload_secrets"]) == (expected, SECRETS)
        cancelled = await keyed.post(f"{path}/cancel", headers=headers)
        assert cancelled.json()["payload"] == expected


async def test_what_the_task_names_adds_to_what_the_contract_marks(
    keyed: Served, stage: Stage
) -> None:
    secret = {"type": "string", "writeOnly": True}
    await registered(stage, a_contract({"type": "object", "properties": {"token": secret}}))
    blind, _ = await readers(stage)
    for pointers, number in ((["/cards/0/number"], MASK), ([], CANARY)):
        body = {**BODY, "payload_secrets": pointers}
        made = (await keyed.post("/tasks", body, headers=shown(blind))).json()
        expected = {"to": "ann", "cards": [{"number": number}], "token": MASK}
        assert made["payload"] == expected


async def test_lines_of_a_batch_and_long_payloads_are_masked(keyed: Served, stage: Stage) -> None:
    blind, _ = await readers(stage)
    long = {**BODY, "payload": {**PAYLOAD, "to": "x" * LARGE_BYTES}}
    lines = b"\n".join(map(orjson.dumps, (BODY, long)))
    headers = {**shown(blind), "content-type": "application/x-ndjson"}
    response = await keyed.post("/tasks/batch", lines, headers=headers)
    assert response.status_code == 200, response.text
    assert CANARY not in response.text
    listed = (await keyed.get("/tasks", headers=shown(blind))).json()["items"]
    assert [one["payload"]["token"] for one in listed] == [MASK, MASK]


async def test_workers_get_the_values(keyed: Served, stage: Stage) -> None:
    blind, _ = await readers(stage)
    await keyed.post("/tasks", BODY, headers=shown(blind))
    asked = {"worker": "w", "types": [TYPE], "limit": 1, "wait_s": 5}
    leased = await keyed.post("/leases", asked, headers=shown(blind))
    [task] = leased.json()["tasks"]
    assert task["payload"] == PAYLOAD


async def test_a_reply_over_amqp_is_masked(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        replies = await producer.channel.declare_queue(exclusive=True)
        await producer.send(BODY, reply_to=replies.name)
        [reply] = await producer.taken(replies.name, 1)
    assert orjson.loads(reply.body)["task"]["payload"] == MASKED


async def test_pages_mask_and_do_not_copy_what_may_not_be_read(stage: Stage) -> None:
    task = await stage.created(
        type=TYPE,
        payload=orjson.dumps(PAYLOAD).decode(),
        payload_secrets=orjson.dumps(SECRETS).decode(),
    )
    blind, seeing = await readers(stage)
    paths = [f"/ui/tasks/{task.id}", "/ui/tasks/export.ndjson", f"/ui/create?like={task.id}"]
    left_out = {"to": "ann", "cards": [{}]}
    async with serving_pages(stage, WIDE) as pages:
        for key, expected in ((blind, left_out), (seeing, PAYLOAD)):
            for path in paths:
                page = await pages.get(path, headers=shown(key))
                assert (CANARY in page.text) is (key is seeing), path
                if "like" in path:
                    assert "/cards/0/number" in page.text, "the copy has the same secrets"
            form = {"name": f"copy {key.key.id}", "type": "plain", "mode": "same"}
            made = await pages.post(
                "/ui/create",
                urlencode({**form, "payload_of": str(task.id)}).encode(),
                headers={"content-type": "application/x-www-form-urlencoded", **shown(key)},
            )
            path = made.headers["location"].removeprefix("/ui")
            assert (await pages.get(path, headers=shown(seeing))).json()["payload"] == expected


async def test_the_form_takes_a_pointer_on_each_line(stage: Stage) -> None:
    form = {"name": "t", "type": "plain", "mode": "json", "payload": '{"a b": 1}'}
    pointers = "/a b\r\n\r\n /c \r\n"
    async with serving_pages(stage) as pages:
        made = await pages.post(
            "/ui/create",
            urlencode({**form, "payload_secrets": pointers}).encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        read = await pages.get(made.headers["location"].removeprefix("/ui"))
    assert read.json()["payload_secrets"] == ["/a b", "/c"]


@pytest.mark.parametrize(
    "pointers", ['"/to"', '["to"]', "[1]", '{"a": "/to"}', '["/a~2"]', f'["/{"a" * 200}"]', "[[]]"]
)
async def test_sql_refuses_other_pointers(stage: Stage, pointers: str) -> None:
    refused = await sql.problem(stage.sql, name="x", payload_secrets=pointers)
    [error] = refused["errors"]
    assert error["pointer"] == "/payload_secrets"


async def test_sql_takes_no_pointers_as_none(keyed: Served, stage: Stage) -> None:
    _, seeing = await readers(stage)
    many = orjson.dumps(["/a"] * 20).decode()
    for pointers, expected in (("[]", None), ("null", None), (many, ["/a"] * 20)):
        made = await sql.create(stage.sql, name="x", payload_secrets=pointers)
        read = await keyed.get(f"/tasks/{made}", headers=shown(seeing))
        assert read.json()["payload_secrets"] == expected


async def test_an_idempotency_key_in_sql_covers_the_pointers(stage: Stage) -> None:
    given = {"name": "x", "idempotency_key": "k", "payload_secrets": '["/a"]'}
    made = await sql.create(stage.sql, **given)
    assert await sql.create(stage.sql, **given) == made
    refused = await sql.problem(stage.sql, **{**given, "payload_secrets": '["/b"]'})
    assert refused["type"] == "/problems/idempotency-conflict"


async def test_the_first_claim_of_a_task_from_sql_says_nothing_of_a_secret_value(
    stage: Stage, log_lines: LogLines
) -> None:
    number = {"type": "integer", "maximum": 9}
    properties = {"pin": number}
    payload = {"pin": 471_108}
    made = await sql.create(
        stage.sql,
        name="x",
        type=TYPE,
        payload=orjson.dumps(payload).decode(),
        payload_secrets='["/pin"]',
    )
    await registered(stage, a_contract({"type": "object", "properties": properties}))

    async def handle(_: Context) -> None:
        """Do nothing."""

    async with a_worker(stage, {TYPE: handle}):
        task = await finished(stage, made)
    assert task.error is not None
    assert "/payload/pin: expected a number of at most 9, got a masked value" in task.error
    assert "471108" not in task.error + log_lines.text()


async def test_enqueue_says_nothing_of_a_secret_value(stage: Stage) -> None:
    properties = {"pin": {"type": "integer", "maximum": 9}}
    await registered(stage, a_contract({"type": "object", "properties": properties}))
    with pytest.raises(NotAccepted) as caught:
        await enqueue(stage.sql, "x", type=TYPE, payload={"pin": 471_108}, payload_secrets=["/pin"])
    assert "a masked value" in str(caught.value)
    assert "471108" not in str(caught.value)


async def test_a_refusal_of_a_message_stores_nothing_of_a_secret_value(
    stage: Stage, broker_url: str
) -> None:
    body: dict[str, Any] = {"name": "x", "payload": {"delay_s": -471_108}}
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        await producer.send({**body, "payload_secrets": ["/delay_s"]})
        [rejected] = await producer.rejected(1)
    problem = await stage.sql.fetchval("SELECT problem FROM taskmill.rejection")
    assert "a masked value" in problem
    assert "471108" not in problem + str(rejected.headers)
