"""Secret values of payloads: masked for readers whose key lacks `tasks:read-secret`, wherever a task is shown."""

from collections.abc import AsyncIterator
from threading import get_ident
from typing import Any, Final
from urllib.parse import urlencode

import orjson
import pytest

from taskmill.domain.errors import MalformedJson
from taskmill.domain.grants import Scope
from taskmill.operations.api_keys import NewApiKey
from taskmill.runtime.offload import LARGE_BYTES
from taskmill.settings import LimitSettings, Settings
from taskmill.wire.contracts.secret_fields import MASK, WHOLLY_MASKED, SecretFields
from taskmill.wire.messages import CreationMessage, MessageLimits, message_draft, refused_message
from tests.support.api import LogLines, Served, serving
from tests.support.api_keys import a_new_key, shown
from tests.support.contracts import TYPE, a_contract, message_limits_of, registered
from tests.support.intake import producing, taking_in
from tests.support.pages import fields_of, serving_pages
from tests.support.stage import Stage

CANARY: Final = "correct-horse-battery"
SCHEMA: Final = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "token": {"type": "string", "writeOnly": True},
        "pin": {"type": "integer", "writeOnly": True, "maximum": 9999},
    },
}
PAYLOAD: Final = {"to": "ann", "token": CANARY}
MASKED: Final = {"to": "ann", "token": MASK}
PUSH: Final = {"url": "https://example.org/", "headers": {"Authorization": CANARY}}
BROKEN: Final = f'{{"name": "t", "payload": {{"token": "{CANARY}"'
WIDE: Final = Settings(auth="required", limits=LimitSettings(body_bytes=4 * LARGE_BYTES))
READERS: Final = tuple(
    scope for scope in Scope if scope not in {Scope.ADMIN, Scope.TASKS_READ_SECRET}
)


@pytest.fixture
async def keyed(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys, and knows the contract."""
    await registered(stage, a_contract(SCHEMA))
    async with serving(stage.service, WIDE) as served:
        yield served


async def readers(stage: Stage) -> tuple[NewApiKey, NewApiKey]:
    """A key with every right but that one, and one that may read secrets, too."""
    blind = await a_new_key(stage.database, *READERS)
    return blind, await a_new_key(stage.database, *READERS, "tasks:read-secret")


async def the_task(
    keyed: Served,
    key: NewApiKey,
    payload: object = PAYLOAD,
    **fields: Any,  # noqa: ANN401 - the fields of a task
) -> dict[str, Any]:
    body = {"name": "t", "type": TYPE, "payload": payload, **fields}
    response = await keyed.post("/tasks", body, headers=shown(key))
    assert response.status_code in {200, 201}, response.text
    made: dict[str, Any] = response.json()
    return made


@pytest.mark.parametrize("layers", [{}, {"sec-fetch-site": "none"}], ids=["fast path", "layers"])
async def test_every_response_with_a_task_masks_what_is_secret(
    keyed: Served, stage: Stage, layers: dict[str, str]
) -> None:
    blind, seeing = await readers(stage)
    for key, expected in ((blind, MASKED), (seeing, PAYLOAD)):
        headers = shown(key) | layers
        body = {"name": "t", "type": TYPE, "payload": PAYLOAD, "idempotency_key": "same"}
        made = [await keyed.post("/tasks", body, headers=headers) for _ in range(2)]
        assert [one.json()["payload"] for one in made] == [expected] * 2
        path = f"/tasks/{made[0].json()['id']}"
        assert (await keyed.get(path, headers=headers)).json()["payload"] == expected
        tag = {"if-none-match": '"7.0"', **headers}
        assert (await keyed.get(path, headers=tag)).json()["payload"] == expected
        waiting = {"prefer": "wait=0", **tag}
        assert (await keyed.get(path, headers=waiting)).json()["payload"] == expected
        listed = await keyed.get("/tasks", headers=headers)
        assert {orjson.dumps(one["payload"]) for one in listed.json()["items"]} == {
            orjson.dumps(expected)
        }
        for action in ("cancel", "retry"):
            done = await keyed.post(f"{path}/{action}", headers=headers)
            assert done.json()["payload"] == expected


async def test_the_scope_counts_for_the_queue_of_the_task(keyed: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, *READERS, "tasks:read-secret queue=mine*")
    for queue, expected in (("mine.a", PAYLOAD), ("other", MASKED)):
        made = await the_task(keyed, key, queue=queue)
        assert made["payload"] == expected
        again = await keyed.get(f"/tasks/{made['id']}", headers=shown(key))
        assert again.json()["payload"] == expected


async def test_the_headers_of_a_push_are_secret_without_a_contract(
    keyed: Served, stage: Stage
) -> None:
    blind, seeing = await readers(stage)
    made = await the_task(keyed, blind, PUSH, type="http")
    assert made["payload"] == {**PUSH, "headers": {"Authorization": MASK}}
    read = await keyed.get(f"/tasks/{made['id']}", headers=shown(seeing))
    assert read.json()["payload"] == PUSH


async def test_a_long_payload_is_masked_beside_the_event_loop(keyed: Served, stage: Stage) -> None:
    blind, _ = await readers(stage)
    payload = {**PAYLOAD, "to": "x" * LARGE_BYTES}
    made = await the_task(keyed, blind, payload)
    read = await keyed.get(f"/tasks/{made['id']}", headers=shown(blind))
    listed = await keyed.get("/tasks", headers=shown(blind))
    for one in (made, read.json(), *listed.json()["items"]):
        assert one["payload"] == {**payload, "token": MASK}


@pytest.mark.parametrize("layers", [{}, {"sec-fetch-site": "none"}], ids=["fast path", "layers"])
async def test_what_is_compared_with_much_is_masked_beside_the_event_loop(
    stage: Stage, layers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    patterns = {f"^{number}_": {"writeOnly": True} for number in range(1000)}
    await registered(stage, a_contract({"type": "object", "patternProperties": patterns}))
    threads: set[int] = set()
    mask = SecretFields.masked

    def noted(self: SecretFields, payload: str) -> str:
        threads.add(get_ident())
        return mask(self, payload)

    monkeypatch.setattr(SecretFields, "masked", noted)
    blind, _ = await readers(stage)
    payload = {"1_pin": 17, **{f"field {number}": "a" for number in range(20)}}
    async with serving(stage.service, WIDE) as served:
        body = {"name": "t", "type": TYPE, "payload": payload}
        headers = {**shown(blind), **layers}
        await served.post(
            "/tasks", body, headers=headers
        )  # the fast path knows its names from now on
        made = (await served.post("/tasks", body, headers=headers)).json()
        read = (await served.get(f"/tasks/{made['id']}", headers=headers)).json()
    assert made["payload"] == read["payload"] == {**payload, "1_pin": MASK}
    assert get_ident() not in threads


async def test_workers_get_payloads_as_they_are(keyed: Served, stage: Stage) -> None:
    blind, _ = await readers(stage)
    await the_task(keyed, blind)
    lease = await keyed.post("/leases", {"worker": "w", "types": [TYPE]}, headers=shown(blind))
    assert [one["payload"] for one in lease.json()["tasks"]] == [PAYLOAD]


async def test_without_keys_the_api_masks_nothing(api: Served, stage: Stage) -> None:
    await registered(stage, a_contract(SCHEMA))
    made = await api.create(type=TYPE, payload=PAYLOAD)
    assert made["payload"] == (await api.get(f"/tasks/{made['id']}")).json()["payload"] == PAYLOAD


async def test_what_a_dropped_contract_marked_stays_secret(keyed: Served, stage: Stage) -> None:
    blind, _ = await readers(stage)
    made = await the_task(keyed, blind)
    dropped = await keyed.http.delete(f"/types/{TYPE}", headers=shown(blind))
    assert dropped.status_code == 204
    for _ in range(2):
        read = await keyed.get(f"/tasks/{made['id']}", headers=shown(blind))
        assert read.json()["payload"] == MASKED
        await registered(stage, a_contract(type="another"))
    await registered(stage, a_contract({"type": "object"}))
    read = await keyed.get(f"/tasks/{made['id']}", headers=shown(blind))
    assert read.json()["payload"] == PAYLOAD


async def test_what_sql_created_and_can_not_be_read_is_masked_as_a_whole(
    keyed: Served, stage: Stage
) -> None:
    blind, _ = await readers(stage)
    task_id = await stage.sql.fetchval(
        "SELECT taskmill.create_task('t', type => $1, payload => '{\"token\": 1, \"token\": 2}'::json)",
        TYPE,
    )
    read = await keyed.get(f"/tasks/{task_id}", headers=shown(blind))
    assert read.json()["payload"] == orjson.loads(WHOLLY_MASKED)


async def test_a_refusal_and_its_log_line_do_not_show_a_secret_value(
    keyed: Served, stage: Stage, log_lines: LogLines
) -> None:
    blind, _ = await readers(stage)
    wrong = {"token": {CANARY: 1}, "pin": 471_108, "to": 1}
    body = {"name": "t", "type": TYPE, "payload": wrong}
    for one in (body, {**body, "priority": 99}, {**body, "idempotency_key": "k"}):
        refused = await keyed.post("/tasks", one, headers=shown(blind))
        assert refused.status_code == 422
        assert CANARY not in refused.text
        assert "471" not in refused.text
    lines = log_lines.text()
    assert CANARY not in lines
    assert "471108" not in lines


async def test_a_conflict_does_not_show_the_stored_payload(keyed: Served, stage: Stage) -> None:
    blind, _ = await readers(stage)
    await the_task(keyed, blind, idempotency_key="k")
    other = {"name": "t", "type": TYPE, "payload": {"to": "bob"}, "idempotency_key": "k"}
    refused = await keyed.post("/tasks", other, headers=shown(blind))
    assert refused.status_code == 422
    assert CANARY not in refused.text


async def test_the_body_of_a_refused_message_needs_the_scope(keyed: Served, stage: Stage) -> None:
    blind, seeing = await readers(stage)
    async with serving_pages(stage, WIDE) as pages:
        rejection_id = await refused(stage)
        for key, expected in ((blind, MASK), (seeing, BROKEN)):
            read = await keyed.get(f"/rejections/{rejection_id}", headers=shown(key))
            assert (read.json()["body"], read.json()["body_encoding"]) == (expected, "utf-8")
            page = await pages.get(f"/ui/rejections/{rejection_id}", headers=shown(key))
            assert (CANARY in page.text) is (key is seeing)
        assert CANARY not in (await keyed.get("/rejections", headers=shown(blind))).text


async def test_a_reply_over_amqp_is_masked(stage: Stage, broker_url: str) -> None:
    known = await registered(stage, a_contract(SCHEMA))
    limits = message_limits_of(known)
    async with producing(broker_url) as producer, taking_in(stage, broker_url, limits=limits):
        replies = await producer.channel.declare_queue(exclusive=True)
        await producer.send({"name": "t", "type": TYPE, "payload": PAYLOAD}, reply_to=replies.name)
        [reply] = await producer.taken(replies.name, 1)
    assert orjson.loads(reply.body)["task"]["payload"] == MASKED


async def test_pages_and_files_mask_what_is_secret(stage: Stage) -> None:
    await registered(stage, a_contract(SCHEMA))
    task = await stage.created(type=TYPE, payload=orjson.dumps(PAYLOAD).decode())
    blind, seeing = await readers(stage)
    paths = [f"/ui/tasks/{task.id}", "/ui/tasks/export.ndjson", f"/ui/create?like={task.id}"]
    async with serving_pages(stage, WIDE) as pages:
        for key in (blind, seeing):
            for path in paths:
                page = await pages.get(path, headers=shown(key))
                assert page.status_code == 200
                assert (CANARY in page.text) is (key is seeing), path
    async with serving_pages(stage) as pages:  # everybody's screen
        for path in paths:
            assert CANARY not in (await pages.get(path)).text
        assert "fill them in" in (await pages.get(paths[-1])).text


async def test_a_secret_that_may_not_be_read_is_not_copied_into_a_task_that_shows_it(
    stage: Stage,
) -> None:
    await registered(stage, a_contract(SCHEMA))
    task = await stage.created(type=TYPE, payload=orjson.dumps(PAYLOAD).decode())
    blind, seeing = await readers(stage)
    async with serving_pages(stage, WIDE) as pages:
        for key, expected in ((blind, {"to": "ann"}), (seeing, PAYLOAD)):
            form = {"name": f"copy {key.key.id}", "type": "plain", "mode": "same"}
            made = await pages.post(
                "/ui/create",
                urlencode({**form, "payload_of": str(task.id)}).encode(),
                headers={"content-type": "application/x-www-form-urlencoded", **shown(key)},
            )
            assert made.status_code == 303, fields_of(made.text)
            copy = await pages.get(
                made.headers["location"].removeprefix("/ui"), headers=shown(seeing)
            )
            assert copy.json()["payload"] == expected


async def refused(stage: Stage) -> str:
    """Store a refused message, which has a secret, and return its id."""
    message = CreationMessage(body=BROKEN.encode())
    with pytest.raises(MalformedJson) as caught:
        message_draft(message, MessageLimits())
    service = stage.service.rejections
    found = refused_message(message, caught.value)
    [rejection_id] = await service.store(service.with_ids([found]))
    return str(rejection_id)
