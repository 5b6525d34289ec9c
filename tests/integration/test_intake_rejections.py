"""Messages that are refused: what is kept and copied of them, and that they hold up no others."""

import json

import orjson
import pytest
from pamqp.commands import Basic

from taskmill.amqp.names import CREATE_KEY, CREATE_QUEUE, EXCHANGE, REJECTED_QUEUE
from taskmill.domain.errors import InvalidInput
from taskmill.wire.problems import problem_json
from taskmill.wire.tasks import to_draft
from tests.support.contracts import TYPE, a_contract, message_limits_of, registered
from tests.support.hostile import NotUtf8, Unreadable
from tests.support.intake import (
    a_message,
    assert_all_acknowledged,
    producing,
    taking_in,
    until_counted,
)
from tests.support.rabbitmq import Management
from tests.support.safety import assert_safe
from tests.support.stage import Stage


async def test_a_refused_message_is_copied_untouched_with_the_reason_beside_it(
    stage: Stage, broker_url: str
) -> None:
    body = b'{"name": "",   "queue": "reports"}'
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        await producer.send(
            body,
            message_id="order-1",
            correlation_id="c",
            content_type="application/json",
            priority=3,
            app_id="shop",
            expiration=600,
            headers={"tenant": "north", "depth": {"list": [1, "two"]}, "CC": [CREATE_QUEUE]},
        )
        [copy] = await producer.rejected(1)
    row = await stage.sql.fetchrow("SELECT * FROM taskmill.rejection ORDER BY id LIMIT 1")
    assert row is not None
    assert (copy.body, row["body"]) == (body, body)
    assert (copy.message_id, copy.correlation_id, copy.app_id) == ("order-1", "c", "shop")
    assert (copy.content_type, copy.priority, copy.expiration) == ("application/json", 3, None)
    assert (copy.headers["tenant"], copy.headers["depth"]) == ("north", {"list": [1, "two"]})
    assert copy.headers["taskmill-status"] == 422
    assert copy.headers["taskmill-rejection-id"] == str(row["id"])
    problem = copy.headers["taskmill-problem"]
    assert isinstance(problem, str)
    assert json.loads(problem) == json.loads(row["problem"])
    assert json.loads(problem)["errors"][0]["pointer"] == "/name"
    properties = json.loads(row["headers"])
    assert properties["headers"]["tenant"] == "north"
    assert (properties["priority"], properties["app_id"], properties["correlation_id"]) == (
        3,
        "shop",
        "c",
    )
    assert (row["source"], row["message_id"], row["redeliveries"]) == ("amqp", "order-1", 0)


async def test_the_same_refused_message_is_stored_once_and_counted(
    stage: Stage, broker_url: str
) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        for _ in range(3):
            await producer.send(b"rubbish", message_id="one")
        await producer.send(b"other rubbish", message_id="one")
        await producer.send(b"rubbish")
        await producer.send(b"rubbish")
        copies = await producer.rejected(6)
        rows = await stage.sql.fetch(
            "SELECT id, message_id, redeliveries FROM taskmill.rejection ORDER BY redeliveries"
        )
    assert [(row["message_id"], row["redeliveries"]) for row in rows[3:]] == [("one", 2)]
    assert len(rows) == 4
    rejection_ids = [copy.headers["taskmill-rejection-id"] for copy in copies]
    assert rejection_ids.count(str(rows[3]["id"])) == 3
    assert set(rejection_ids) == {str(row["id"]) for row in rows}


@pytest.mark.parametrize(
    ("name", "value"),
    [("message_id", b"\x03\xff\xfe\xfd"), ("timestamp", b"\xff" * 8)],
)
async def test_a_message_with_unreadable_properties_is_refused_and_blocks_no_others(
    stage: Stage, broker_url: str, name: str, value: bytes
) -> None:
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            driver = await producer.channel.get_underlay_channel()
            await driver.basic_publish(
                b'{"name": "a"}',
                exchange=EXCHANGE,
                routing_key=CREATE_KEY,
                properties=Unreadable(name, value),
            )
            await producer.send({"name": "behind it"})
            await until_counted(stage, 1, 1)
            [copy] = await producer.rejected(1)
        await assert_all_acknowledged(producer)
    assert copy.body == b'{"name": "a"}'
    row = await stage.sql.fetchrow("SELECT body, message_id, problem FROM taskmill.rejection")
    assert row is not None
    assert json.loads(row["problem"])["errors"][0]["pointer"] == "property:"
    assert (row["body"], row["message_id"]) == (b'{"name": "a"}', None)


async def test_an_unreadable_routing_key_blocks_no_others(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            driver = await producer.channel.get_underlay_channel()
            await driver.basic_publish(
                b'{"name": "a"}',
                routing_key=NotUtf8("?"),
                properties=Basic.Properties(headers={"CC": [CREATE_QUEUE]}),
            )
            await producer.send({"name": "behind it"})
            await until_counted(stage, 2, 0)
        await assert_all_acknowledged(producer)


async def test_a_message_of_nothing_is_refused(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        await producer.send(b"")
        await until_counted(stage, 0, 1)


async def test_a_message_for_one_queue_too_many_is_refused_and_the_others_are_not(
    stage: Stage, broker_url: str
) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url, queue_limit=2):
        await producer.send_all(
            a_message(orjson.dumps({"name": "a", "queue": f"q{n % 4}"})) for n in range(40)
        )
        await until_counted(stage, 20, 20)
    problems = await stage.sql.fetch(
        "SELECT DISTINCT problem->>'type' AS type FROM taskmill.rejection"
    )
    assert [row["type"] for row in problems] == ["/problems/queue-limit-reached"]
    await assert_safe(stage.sql)


async def test_headers_that_leave_no_room_for_the_reason_are_left_out_of_the_copy(
    stage: Stage, broker_url: str
) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        await producer.send(b"rubbish", message_id="one", headers={"large": "x" * 100_000})
        [copy] = await producer.rejected(1)
    assert set(copy.headers) == {"taskmill-problem", "taskmill-status", "taskmill-rejection-id"}
    body_bytes = await stage.sql.fetchval(
        "SELECT length(headers->'headers'->>'large') FROM taskmill.rejection"
    )
    assert body_bytes == 100_000


async def test_copies_of_refused_messages_can_not_fill_the_broker(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    async with taking_in(stage, broker_url):
        arguments = broker_management.queues()[REJECTED_QUEUE]["arguments"]
    assert (arguments["x-max-length"], arguments["x-max-length-bytes"]) == (100_000, 2**30)
    assert "x-overflow" not in arguments, "the oldest are dropped"


async def test_a_payload_that_breaks_its_contract_is_a_rejection_with_the_problem_of_the_api(
    stage: Stage, broker_url: str
) -> None:
    known = await registered(stage, a_contract())
    limits = message_limits_of(known)
    body = {"name": "b", "type": TYPE, "payload": {"copies": 0}}
    async with producing(broker_url) as producer, taking_in(stage, broker_url, limits=limits):
        await producer.send({"name": "a", "type": TYPE, "payload": {"to": "x"}}, message_id="good")
        await producer.send(body, message_id="bad")
        await until_counted(stage, 1, 1)
        [copy] = await producer.rejected(1)
    with pytest.raises(InvalidInput) as refused:
        to_draft(body, source="rest", limits=limits.input)
    problem = copy.headers["taskmill-problem"]
    assert isinstance(problem, str)
    assert json.loads(problem) == json.loads(problem_json(refused.value)[2])
    assert [one["pointer"] for one in json.loads(problem)["errors"]] == [
        "/payload/to",
        "/payload/copies",
    ]


async def test_a_message_that_comes_again_after_its_contract_changed_makes_no_rejection(
    stage: Stage, broker_url: str
) -> None:
    known = await registered(stage, a_contract({}))
    limits = message_limits_of(known)
    body = {"name": "b", "type": TYPE, "payload": {"copies": 0}}
    async with producing(broker_url) as producer, taking_in(stage, broker_url, limits=limits):
        await producer.send(body, message_id="one")
        await until_counted(stage, 1, 0)
        await registered(stage, a_contract())
        await producer.send(body, message_id="one")
        await producer.send(body, message_id="two")
        await until_counted(stage, 1, 1)
        await assert_all_acknowledged(producer)
    assert await stage.sql.fetchval("SELECT message_id FROM taskmill.rejection") == "two"
