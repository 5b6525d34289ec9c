"""The pages of workers, refused messages and new tasks for who may see some queues only."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode
from uuid import UUID, uuid4

import orjson
import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.domain.errors import InvalidInput
from taskmill.domain.rejection import RefusedMessage
from taskmill.storage import leases
from taskmill.storage.leases import WorkerProfile
from taskmill.wire.messages import CreationMessage, refused_message
from tests.support.api import Served
from tests.support.api_keys import REQUIRED
from tests.support.pages import serving_pages
from tests.support.refusals import store_refused
from tests.support.stage import Stage
from tests.support.visitors import FORM, visitor

HIDDEN = ("hidden-queue", "foreign")


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    """Pages that require keys."""
    async with serving_pages(stage, REQUIRED) as served:
        yield served


async def a_worker(stage: Stage, name: str, *queues: str) -> UUID:
    profile = WorkerProfile(name=name, queues=queues, types=("send", "foreign-type"), slots=7)
    lease_id = stage.ids()
    async with stage.database.hot() as connection:
        await leases.open_lease(connection, lease_id, profile, ttl_s=600)
    return lease_id


async def test_of_a_shared_worker_a_page_shows_the_own_part_and_no_buttons(
    closed: Served, stage: Stage
) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail", "tasks:operate queue=mail")
    own = await a_worker(stage, "own-worker", "mail")
    shared = await a_worker(stage, "shared-worker", "mail", "hidden-queue")
    foreign = await a_worker(stage, "foreign-worker", "hidden-queue")
    await stage.running(shared, queue="mail", type="send", name="a letter")
    for _ in range(2):
        await stage.running(shared, queue="hidden-queue", type="foreign-type", name="a secret")
    listed = (await closed.get("/ui/workers", headers=session)).text
    page = (await closed.get(f"/ui/workers/{shared}", headers=session)).text
    assert "a letter" in page
    assert "a secret" not in page
    for text in (listed, page):
        assert re.search(r'<meter min="0" max="7" value="1"', text), "what it runs of own queues"
        assert f"/ui/workers/{shared}/quiet" not in text
        assert not [word for word in HIDDEN if word in text.replace("foreign-type", "")]
    assert f"/ui/workers/{own}/quiet" in listed
    assert "foreign-type" not in page
    unknown = uuid4()
    for method, rest in (("GET", ""), ("POST", "/quiet")):
        answers = set()
        for wanted in (foreign, unknown):
            response = await closed.http.request(
                method, f"/ui/workers/{wanted}{rest}", headers=session | FORM
            )
            text = re.sub(f'{wanted}|data-now="[^"]*"', "", response.text)
            answers.add((response.status_code, text))
        [(status, _)] = answers
        assert status == 404
    for worker, status in ((own, 303), (shared, 403)):
        asked = await closed.post(f"/ui/workers/{worker}/quiet", headers=session | FORM)
        assert asked.status_code == status
    asked_ones = await stage.sql.fetch("SELECT id FROM taskmill.lease WHERE request IS NOT NULL")
    assert [row["id"] for row in asked_ones] == [own]


def refused(queue: str) -> RefusedMessage:
    message = CreationMessage(body=orjson.dumps({"name": f"of {queue}", "queue": queue}))
    return refused_message(message, InvalidInput.at("/name", "another one", "this one"), queue)


async def test_refused_messages_are_those_of_the_queues_of_the_key(
    closed: Served, stage: Stage
) -> None:
    grants = [f"{one} queue=mail" for one in ("tasks:read", "tasks:operate", "tasks:read-secret")]
    session = await visitor(closed, stage, *grants)
    own, foreign = await store_refused(stage.url, [refused("mail"), refused("hidden-queue")])
    listed = (await closed.get("/ui/rejections", headers=session)).text
    assert own in listed
    assert foreign not in listed
    page = (await closed.get(f"/ui/rejections/{own}", headers=session)).text
    assert "of mail" in page
    assert f"/ui/rejections/{own}/resend" in page
    reader = await visitor(closed, stage, "tasks:read queue=mail", "tasks:operate queue=news")
    page = (await closed.get(f"/ui/rejections/{own}", headers=reader)).text
    assert "of mail" not in page
    assert f"/ui/rejections/{own}/resend" not in page
    for wanted, status in ((foreign, 404), (str(uuid4()), 404), (own, 303)):
        assert (await closed.get(f"/ui/rejections/{wanted}", headers=session)).status_code == (
            200 if status == 303 else status
        )
        sent = await closed.post(f"/ui/rejections/{wanted}/resend", headers=session | FORM)
        assert sent.status_code == status
    names = await stage.sql.fetch("SELECT name FROM taskmill.task")
    assert [row["name"] for row in names] == ["of mail"]


async def test_the_form_offers_queues_that_may_be_read_and_types_of_their_tasks(
    closed: Served, stage: Stage
) -> None:
    await contract(stage, "foreign-contract", "foreign-field")
    await a_worker(stage, "w", "hidden-queue")
    await stage.created(queue="mail", type="send")
    await stage.created(queue="hidden-queue", type="foreign-task")
    session = await visitor(closed, stage, "tasks:read queue=mail,new", "tasks:create")
    text = (await closed.get("/ui/create", headers=session)).text
    assert set(re.findall(r'<option value="([\w-]+)"></option>', text)) == {
        *("mail", "new"),
        *("send", "emulate", "http"),
    }
    assert not [word for word in HIDDEN if word in text]
    all_queues = await visitor(closed, stage, "tasks:read", "tasks:create")
    text = (await closed.get("/ui/create", headers=all_queues)).text
    assert "foreign-contract" in text


async def contract(stage: Stage, name: str, field: str) -> None:
    schema = {"type": "object", "properties": {field: {"type": "string"}}, "required": [field]}
    await stage.service.contracts.register(
        TypeContract(type=name, schema=orjson.dumps(schema).decode()), by="test"
    )


async def test_a_contract_is_shown_to_who_may_create_tasks_of_its_type(
    closed: Served, stage: Stage
) -> None:
    await contract(stage, "send", "own-field")
    await contract(stage, "other", "foreign-field")
    session = await visitor(closed, stage, "tasks:read queue=mail", "tasks:create type=send")
    for kind, field in (("send", "own-field"), ("other", "")):
        body = urlencode({"name": "x", "type": kind, "queue": "mail", "mode": "fields"}).encode()
        shown = await closed.post("/ui/create/payload", body, headers=session | FORM)
        assert ("own-field" in shown.text) == bool(field)
        refused_form = await closed.post("/ui/create", body, headers=session | FORM)
        assert refused_form.status_code == (422 if field else 403)
        assert "foreign-field" not in shown.text + refused_form.text


async def test_a_task_is_copied_and_created_only_where_it_may_be_read(
    closed: Served, stage: Stage
) -> None:
    session = await visitor(closed, stage, "tasks:read queue=mail", "tasks:create")
    own = await stage.created(queue="mail", name="own name")
    foreign = await stage.created(
        queue="hidden-queue", name="foreign name", payload='{"a": "foreign"}'
    )
    copied = await closed.get(f"/ui/create?like={own.id}", headers=session)
    assert "own name" in copied.text
    fields = {"name": "x", "type": "emulate", "queue": "mail", "mode": "same"}
    for wanted in (foreign.id, uuid4()):
        assert (await closed.get(f"/ui/create?like={wanted}", headers=session)).status_code == 404
        body = urlencode({**fields, "payload_of": str(wanted), "token": "t"}).encode()
        assert (await closed.post("/ui/create", body, headers=session | FORM)).status_code == 404
    async with asyncio.timeout(20):
        for queue, status in (("mail", 303), ("hidden-queue", 403), ("mailer", 403)):
            values = {"name": "x", "type": "emulate", "queue": queue, "token": queue}
            body = urlencode(values).encode()
            made = await closed.post("/ui/create", body, headers=session | FORM)
            assert made.status_code == status, made.text
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 3
