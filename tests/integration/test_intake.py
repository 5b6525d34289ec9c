"""Creation messages from a real broker: good ones become tasks, bad ones rejections, and nothing is lost."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import aio_pika
import orjson
import pytest
from pamqp.commands import Basic

from taskmill.amqp.names import CREATE_KEY, CREATE_QUEUE, EXCHANGE, REJECTED_QUEUE
from taskmill.domain.errors import InvalidInput, QueueLimitReached
from taskmill.domain.system import CreatedTask
from taskmill.storage.statements import statement
from taskmill.wire.problems import problem_json
from taskmill.wire.tasks import to_draft
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.contracts import TYPE, a_contract, message_limits_of, registered
from tests.support.hostile import NotUtf8, Unreadable
from tests.support.intake import (
    LIMITS,
    assert_all_acknowledged,
    counted,
    producing,
    taking_in,
    until_counted,
)
from tests.support.polling import eventually
from tests.support.rabbitmq import Management
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_creation

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GOOD = 9_000
DOUBLED = 300
EACH_BAD = 140


def a_message(body: bytes, message_id: str | None = None) -> aio_pika.Message:
    return aio_pika.Message(body, message_id=message_id)


def the_mixture() -> tuple[list[aio_pika.Message], set[str]]:
    """Ten thousand messages, the good ones' names among them."""
    good = [(f"good {n}", f"id {n}") for n in range(GOOD)]
    messages = [a_message(orjson.dumps({"name": name}), key) for name, key in good]
    messages += messages[:DOUBLED]
    for n in range(EACH_BAD):
        bad = {
            "truncated": b'{"name": "cut',
            "unknown": b'{"name": "a", "colour": "red"}',
            "nul": b'{"name": "a\\u0000b"}',
            "large": orjson.dumps({"name": "a", "description": "x" * LIMITS.body_bytes}),
            "other": b'{"name": "another body under a used id"}',
        }
        for kind, body in bad.items():
            key = f"id {n}" if kind == "other" else f"{kind} {n}"
            messages.append(a_message(body, key))
    # Neighbours of all kinds, in the same order at every run; what uses an id again comes after it.
    first, rest = messages[:DOUBLED], messages[DOUBLED:]
    order = sorted(range(len(rest)), key=lambda n: n * 7919 % 10_007)
    return [*first, *(rest[n] for n in order)], {name for name, _ in good}


async def test_of_ten_thousand_messages_the_good_ones_become_tasks_and_the_bad_ones_rejections(
    stage: Stage, broker_url: str
) -> None:
    messages, names = the_mixture()
    assert len(messages) == 10_000
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            for start in range(0, len(messages), 1000):
                await producer.send_all(messages[start : start + 1000])
            await until_counted(stage, GOOD, 5 * EACH_BAD)
        await assert_all_acknowledged(producer)
        assert await producer.depth(REJECTED_QUEUE) == 5 * EACH_BAD
    stored = await stage.sql.fetch("SELECT name FROM taskmill.task")
    assert {row["name"] for row in stored} == names
    counts = await stage.sql.fetch(
        "SELECT status, problem->>'type' AS type, count(*) FROM taskmill.rejection GROUP BY 1, 2"
    )
    assert {(row["status"], row["type"]): row["count"] for row in counts} == {
        (400, "/problems/malformed-json"): EACH_BAD,
        (413, "/problems/too-large"): EACH_BAD,
        (422, "/problems/idempotency-conflict"): EACH_BAD,
        (422, "/problems/invalid-input"): 2 * EACH_BAD,
    }
    await assert_safe(stage.sql)


async def test_a_message_becomes_a_task_with_all_that_its_properties_say(
    stage: Stage, broker_url: str
) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        await producer.send(
            {"name": "report", "queue": "reports", "payload": {"a": 1}},
            message_id="order-1",
            priority=7,
            headers={"traceparent": TRACEPARENT},
        )
        await until_counted(stage, 1, 0)
    row = await stage.sql.fetchrow("SELECT * FROM taskmill.task")
    assert row is not None
    assert (row["name"], row["queue"], row["priority"]) == ("report", "reports", 7)
    assert (row["source"], row["traceparent"]) == ("amqp", TRACEPARENT)
    key = await stage.sql.fetchrow("SELECT scope, key, task_id FROM taskmill.idempotency")
    assert key is not None
    assert tuple(key) == ("amqp", "order-1", row["id"])


async def test_a_reply_has_the_task_or_the_problem(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        replies_queue = await producer.channel.declare_queue("replies", exclusive=True)
        wanted: dict[str, Any] = {"reply_to": replies_queue.name}
        await producer.send({"name": "a"}, message_id="1", correlation_id="first", **wanted)
        [first] = await producer.taken("replies", 1)
        await producer.send({"name": "a"}, message_id="1", correlation_id="again", **wanted)
        await producer.send({"name": ""}, correlation_id="bad", **wanted)
        again, bad = await producer.taken("replies", 2)
        await producer.send({"name": "b", "callback_url": "http://127.0.0.1:9/"}, **wanted)
        [warned] = await producer.taken("replies", 1)
    replies = {reply.correlation_id: json.loads(reply.body) for reply in (first, again, bad)}
    assert (replies["first"]["status"], replies["again"]["status"]) == (201, 200)
    assert replies["first"]["task"]["name"] == "a"
    assert replies["again"]["task"]["id"] == replies["first"]["task"]["id"]
    assert replies["bad"]["status"] == replies["bad"]["problem"]["status"] == 422
    assert first.content_type == "application/json"
    assert "warning" not in replies["first"]["task"]
    assert "127.0.0.1 is not a public address" in json.loads(warned.body)["task"]["warning"]


async def test_an_undeliverable_reply_holds_up_nothing(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            await producer.send({"name": "a"}, reply_to="nobody.is.here", correlation_id="x")
            await until_counted(stage, 1, 0)
        await assert_all_acknowledged(producer)


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
    assert (row["door"], row["message_id"], row["redeliveries"]) == ("amqp", "order-1", 0)


async def test_the_same_refused_message_is_kept_once_and_counted(
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


async def test_what_postgresql_refuses_fails_alone(stage: Stage) -> None:
    names = [f"task {n}" for n in range(9)]
    names[4] = "bad \x00 name"
    new = stage.creation.with_ids(a_draft(name=name) for name in names)
    results = await stage.creation.store_each(new)
    assert [isinstance(result, CreatedTask) for result in results] == [n != 4 for n in range(9)]
    again = await stage.creation.store_each(new)
    assert [isinstance(result, CreatedTask) for result in again] == [n != 4 for n in range(9)]
    assert await counted(stage) == (8, 0)
    assert await stage.creation.store_each([]) == []
    await assert_safe(stage.sql)


async def test_each_gets_its_reply_where_there_is_room_for_some_queues_only(stage: Stage) -> None:
    async with a_creation(stage.database, stage.clock, stage.ids, queue_limit=1) as creation:
        new = creation.with_ids(a_draft(queue=queue) for queue in ("b", "a", "b", "a"))
        results = await creation.store_each(new)
    kinds = [type(result) for result in results]
    assert kinds == [QueueLimitReached, CreatedTask] * 2


async def test_a_message_is_described_in_the_log(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        await producer.send({"name": "a secret"}, message_id="good")
        await producer.send(b"a secret", message_id="bad")
        await until_counted(stage, 1, 1)
        await producer.rejected(1)
    [line] = log_lines.named("message.rejected")
    assert (line["message_id"], line["status"], line["bytes"]) == ("bad", 400, 8)
    [line] = log_lines.named("task.created")
    assert line["source"] == "amqp"
    assert [bool(log_lines.named(f"intake.{word}")) for word in ("started", "stopped")] == [
        True
    ] * 2


async def test_a_body_in_many_frames_arrives_whole(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer, taking_in(stage, broker_url):
        body = bytes(range(256)) * 4096
        await producer.send(body, message_id=str(uuid4()))
        [copy] = await producer.rejected(1)
        assert copy.body == body
        assert copy.headers["taskmill-status"] == 413


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


async def test_messages_too_large_to_be_held_are_taken_fewer_at_a_time(
    stage: Stage, broker_url: str, log_lines: LogLines
) -> None:
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url):
            pass  # the queue is there now
        messages = [
            a_message(orjson.dumps({"name": f"{n}", "description": "x" * 3000}), f"{n}")
            for n in range(300)
        ]
        await producer.send_all(messages)
        transaction = stage.sql.transaction()
        await transaction.start()
        await stage.sql.execute(statement("lock_queues"))  # the first task of a queue waits for it
        async with taking_in(stage, broker_url, most_bytes=100_000):

            async def overflowed() -> bool:
                return bool(log_lines.named("intake.overflowed"))

            await eventually(overflowed, "more wait than may be held")
            await transaction.rollback()
            await until_counted(stage, 300, 0)
        await assert_all_acknowledged(producer)
    assert log_lines.named("intake.started")[-1]["prefetch"] < 50


async def test_two_intakes_share_the_queue(stage: Stage, broker_url: str) -> None:
    async with producing(broker_url) as producer:
        async with taking_in(stage, broker_url), taking_in(stage, broker_url):
            await producer.send_all(
                a_message(orjson.dumps({"name": f"{n}"}), f"{n % 1500}") for n in range(2000)
            )
            await until_counted(stage, 1500, 500)
        await assert_all_acknowledged(producer)
    await assert_safe(stage.sql)


async def test_the_consumer_is_one_with_a_limit_of_messages(
    stage: Stage, broker_url: str, broker_management: Management
) -> None:
    async with taking_in(stage, broker_url):

        async def listed() -> list[dict[str, Any]]:
            return await asyncio.to_thread(broker_management.consumers)

        [consumer] = await eventually(listed, "a consumer")
    assert consumer["queue"]["name"] == CREATE_QUEUE
    assert consumer["ack_required"]
    assert consumer["prefetch_count"] == 1000


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
