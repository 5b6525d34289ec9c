"""Creation messages from a real broker: good ones become tasks, bad ones rejections, and nothing is lost."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import aio_pika
import orjson

from taskmill.amqp.names import CREATE_QUEUE, REJECTED_QUEUE
from taskmill.storage.statements import statement
from tests.support.api import LogLines
from tests.support.intake import (
    LIMITS,
    a_message,
    assert_all_acknowledged,
    producing,
    taking_in,
    until_counted,
)
from tests.support.polling import eventually
from tests.support.rabbitmq import Management
from tests.support.safety import assert_safe
from tests.support.stage import Stage

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
GOOD = 9_000
DOUBLED = 300
EACH_BAD = 140


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
    row = await stage.sql.fetchrow("SELECT * FROM taskmill.current_task")
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
