"""Refused messages for a key that may see some queues: those that named one of them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.rejection import RefusedMessage
from taskmill.storage.rejections import LAST_ID
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.messages import CreationMessage, MessageLimits, queue_of, refused_message
from taskmill.wire.rules import InputLimits
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.plans import explaining
from tests.support.refusals import store_refused
from tests.support.stage import Stage

BODY = '{"name": "from %s", "queue": "%s"}'


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


def refused(queue: str | None, body: str = "") -> RefusedMessage:
    """A message for a queue that would be accepted now."""
    message = CreationMessage(
        body=(body or BODY % (queue, queue)).encode(), message_id=f"{uuid4()}"
    )
    return refused_message(message, InvalidInput.at("/name", "another one", "this one"), queue)


async def test_a_page_has_the_messages_of_the_queues_of_a_key_only(
    required: Served, stage: Stage
) -> None:
    own: list[str] = []
    for n in range(12):
        queue = ("mail", "secret", None, "news")[n % 4]
        [stored] = await store_refused(stage.url, [refused(queue)])
        own += [stored] if queue in {"mail", "news"} else []
    # None of these queues is there: the key names them.
    key = shown(await a_new_key(stage.database, "tasks:read queue=mail,news"))
    found: list[str] = []
    address: str | None = "/rejections?limit=4"
    while address is not None:
        page = (await required.get(address, headers=key)).json()
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        address = None if cursor is None else f"/rejections?limit=4&cursor={cursor}"
        assert "secret" not in str(page)
    assert found == own[::-1]
    everything = shown(await a_new_key(stage.database, "tasks:read"))
    page = (await required.get("/rejections", headers=everything)).json()
    assert len(page["items"]) == 12


async def test_messages_of_a_pattern_are_shown_once_their_queue_is_there(
    required: Served, stage: Stage
) -> None:
    await store_refused(stage.url, [refused("billing.eu"), refused("billing")])
    key = shown(await a_new_key(stage.database, "tasks:read queue=billing.*"))
    assert (await required.get("/rejections", headers=key)).json()["items"] == []
    await stage.created(queue="billing.eu")
    [item] = (await required.get("/rejections", headers=key)).json()["items"]
    assert (await required.get(f"/rejections/{item['id']}", headers=key)).status_code == 200


async def test_a_message_of_others_is_like_one_that_is_not_there(
    required: Served, stage: Stage
) -> None:
    key = shown(
        await a_new_key(
            stage.database, *(f"{one} queue=mail" for one in ("tasks:read", "tasks:operate"))
        )
    )
    [foreign, unread] = await store_refused(stage.url, [refused("secret"), refused(None)])
    unknown = str(uuid4())
    for method, rest in (("GET", ""), ("POST", "/resend")):
        answers = set()
        for wanted in (foreign, unread, unknown):
            response = await required.http.request(
                method, f"/rejections/{wanted}{rest}", headers=key
            )
            answers.add((response.status_code, response.text.replace(wanted, "ID")))
        [(status, _)] = answers
        assert status == 404
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0


async def test_a_message_is_sent_again_by_who_may_operate_its_queue(
    required: Served, stage: Stage
) -> None:
    [own] = await store_refused(stage.url, [refused("mail")])
    reader = shown(
        await a_new_key(stage.database, "tasks:read queue=mail", "tasks:operate queue=news")
    )
    assert (await required.post(f"/rejections/{own}/resend", headers=reader)).status_code == 404
    key = shown(await a_new_key(stage.database, "tasks:operate queue=mail"))
    for status in (201, 200):
        sent = await required.post(f"/rejections/{own}/resend", headers=key)
        assert (sent.status_code, sent.json()["queue"]) == (status, "mail"), sent.text


async def test_a_message_whose_queue_is_another_by_now_is_not_sent_again(
    required: Served, stage: Stage
) -> None:
    """The contract of its type had another default queue when it was refused."""
    [own] = await store_refused(stage.url, [refused("mail", '{"name": "a", "queue": "secret"}')])
    key = shown(await a_new_key(stage.database, "tasks:operate queue=mail"))
    assert (await required.post(f"/rejections/{own}/resend", headers=key)).status_code == 404
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0


async def test_the_body_is_shown_to_who_may_see_secrets_of_its_queue(
    required: Served, stage: Stage
) -> None:
    [own] = await store_refused(stage.url, [refused("mail")])
    for secrets, body in (("mail", BODY % ("mail", "mail")), ("news", "[masked]")):
        key = await a_new_key(
            stage.database, "tasks:read queue=mail", f"tasks:read-secret queue={secrets}"
        )
        response = await required.get(f"/rejections/{own}", headers=shown(key))
        assert response.json()["body"] == body


@pytest.mark.parametrize(
    ("body", "queue"),
    [
        (b'{"name": "a", "queue": "mail"}', "mail"),
        (b'{"queue": "mail", "name": 5}', "mail"),
        (b'{"name": 5}', "default"),
        (b'{"type": "send", "priority": 100}', "default"),
        (b'{"queue": null}', None),
        (b'{"queue": "Not a name"}', None),
        (b'{"queue": ["mail"]}', None),
        (b'{"type": {}}', None),
        (b'{"queue": "mail", "queue": "news"}', None),
        (b'{"queue": "mail"', None),
        (b'["mail"]', None),
        (b'"mail"', None),
        (b'{"queue": "mail", "pad": "%s"}' % (b"x" * 200), None),
    ],
)
def test_the_queue_of_a_message_is_what_it_names(body: bytes, queue: str | None) -> None:
    limits = MessageLimits(body_bytes=200)
    assert queue_of(CreationMessage(body=body), limits) == queue


def test_the_queue_of_a_message_that_names_none_is_that_of_its_type() -> None:
    contracts = {
        name: Contract(name, 1, "{}", defaults)
        for name, defaults in (("send", '{"queue": "mail"}'), ("other", '{"priority": 3}'))
    }
    limits = MessageLimits(input=replace(InputLimits(), contracts=contracts))
    for kind, queue in (("send", "mail"), ("other", "default"), ("more", "default")):
        body = b'{"type": "%s"}' % kind.encode()
        assert queue_of(CreationMessage(body=body), limits) == queue


async def test_a_page_of_some_queues_reads_no_other_messages(stage: Stage) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.rejection (id, source, body, body_hash, headers, status, problem, queue) "
        "SELECT gen_random_uuid(), 'amqp', 'x', 'x', '{}', 422, '{}', "
        "CASE WHEN n % 100 = 0 THEN 'mail' ELSE 'secret' END FROM generate_series(1, 5000) AS n"
    )
    await stage.sql.execute("ANALYZE taskmill.rejection")
    async with explaining(stage.database) as session:
        rows, plan = await session.fetch(
            "list_queue_rejections", LAST_ID, 11, 10**8, ["mail", "news"]
        )
    assert len(rows) == 11
    assert plan.rows_read <= 30
