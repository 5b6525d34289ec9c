"""`taskmill queue publish` and `taskmill broker` on a real broker."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import aio_pika
import asyncpg
import orjson
import pytest
from aio_pika.abc import AbstractIncomingMessage

from taskmill.amqp import depths, topology
from taskmill.amqp.confirmed_publisher import ConfirmedPublisher, SentMessage
from taskmill.amqp.names import (
    CREATE_KEY,
    CREATE_QUEUE,
    EXCHANGE,
    REJECTED_QUEUE,
    hint_bindings,
    hint_queue_name,
)
from taskmill.cli.main import run
from taskmill.domain.errors import BrokerAway
from taskmill.storage.notifier import CHANNEL
from taskmill.storage.rights import APP
from tests.support.fake_service import unused_url
from tests.support.links import an_open_link
from tests.support.polling import eventually
from tests.support.rabbitmq import Management
from tests.support.roles import as_role
from tests.support.stage import a_stage

Taskmill = Callable[..., tuple[int, str, str]]
NOBODY = unused_url().replace("http://", "amqp://user:secret@")


@pytest.fixture
def taskmill(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Taskmill:
    """Run a command line in an empty folder: exit status, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(list(arguments))
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.fixture
def intake_url(broker_url: str) -> str:
    """A broker on which an intake has run."""
    asyncio.run(declare(broker_url))
    return broker_url


async def declare(url: str) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await topology.declare_exchange(channel)
        await topology.declare_rejected(channel)
        queue = await channel.declare_queue(
            CREATE_QUEUE, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(EXCHANGE, CREATE_KEY)


async def taken(url: str) -> list[AbstractIncomingMessage]:
    """Take all creation messages."""
    messages = []
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(CREATE_QUEUE)
        while message := await queue.get(fail=False):
            await message.ack()
            messages.append(message)
    return messages


def test_each_line_is_published_once_as_it_is_written(
    taskmill: Taskmill, intake_url: str, tmp_path: Path
) -> None:
    lines = [b'{"name": "n%d", "idempotency_key": "k%d"}' % (n, n) for n in range(300)]
    (tmp_path / "tasks.ndjson").write_bytes(b"\n".join([*lines, b'{"name":  "last"}', b""]))
    status, out, err = taskmill("queue", "publish", "--broker-url", intake_url, "tasks.ndjson")
    assert (status, out, err) == (0, "301 of 301 messages confirmed\n", "")
    messages = asyncio.run(taken(intake_url))
    assert {message.body for message in messages} == {*lines, b'{"name":  "last"}'}
    assert len({message.message_id for message in messages}) == 301
    for message in messages:
        key = orjson.loads(message.body).get("idempotency_key")
        assert key in {None, message.message_id}
        assert (message.content_type, message.delivery_mode) == ("application/json", 2)
        assert not message.priority


def test_nothing_is_sent_if_a_line_is_not_json(
    taskmill: Taskmill, intake_url: str, tmp_path: Path
) -> None:
    (tmp_path / "bad").write_bytes(b'{"name": "a"}\n{"name"\n')
    status, out, err = taskmill("queue", "publish", "--broker-url", intake_url, "bad")
    assert (status, out) == (1, "")
    assert "nothing was published:\nline 2: not JSON" in err
    assert asyncio.run(taken(intake_url)) == []


def test_messages_that_no_queue_takes_are_named_by_line(
    taskmill: Taskmill, broker_url: str, tmp_path: Path
) -> None:
    async def declare_without_binding() -> None:
        async with await aio_pika.connect(broker_url) as connection:
            channel = await connection.channel()
            await topology.declare_exchange(channel)
            await channel.declare_queue(CREATE_QUEUE, durable=True)

    asyncio.run(declare_without_binding())
    (tmp_path / "tasks").write_bytes(b'\n{"name": "a"}\n' * 15)
    status, out, err = taskmill("queue", "publish", "--broker-url", broker_url, "tasks")
    assert (status, out) == (1, "0 of 15 messages confirmed\n")
    lines = err.splitlines()
    assert lines[0].startswith("line 2: not confirmed: no queue takes messages")
    assert (len(lines), lines[-1]) == (11, "… and 5 more")


def test_without_the_intakes_queue_nothing_is_published(
    taskmill: Taskmill, broker_url: str, tmp_path: Path
) -> None:
    (tmp_path / "tasks").write_bytes(b'{"name": "a"}\n')
    status, out, err = taskmill("queue", "publish", "--broker-url", broker_url, "tasks")
    assert (status, out) == (1, "")
    assert "nothing was published" in err
    assert "taskmill run intake" in err


async def test_messages_survive_the_loss_of_the_connection(
    intake_url: str, broker_management: Management
) -> None:
    is_cut = asyncio.Event()
    sent: list[str] = []
    done = 0

    def messages() -> Iterator[SentMessage]:
        """Go on until some have been sent after the cut."""
        after = 0
        while after < 100:
            after += is_cut.is_set()
            sent.append(f"m{len(sent)}")
            yield SentMessage(number=len(sent), body=b"{}", message_id=sent[-1])

    def delivered() -> None:
        nonlocal done
        done += 1

    async def close_connections() -> bool:
        return bool(await asyncio.to_thread(broker_management.close_connections))

    async def cut() -> None:
        await eventually(close_connections, "the connection is seen and closed")
        is_cut.set()

    confirmed_publisher = ConfirmedPublisher(
        intake_url, exchange=EXCHANGE, routing_key=CREATE_KEY, in_flight=5
    )
    async with asyncio.TaskGroup() as group:
        delivery = group.create_task(confirmed_publisher.deliver(messages(), delivered=delivered))
        group.create_task(cut())
    assert (delivery.result(), done) == ([], len(sent))
    assert await ids_until(intake_url, set(sent)) == set(sent)


async def ids_until(url: str, expected: set[str]) -> set[str | None]:
    """Take messages until all expected ones were there; a lost confirm can make a duplicate."""
    ids: set[str | None] = set()
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(CREATE_QUEUE)
        async with asyncio.timeout(20), queue.iterator(no_ack=True) as messages:
            async for message in messages:
                ids.add(message.message_id)
                if ids >= expected:
                    break
    return ids


async def test_a_missing_broker_is_waited_for_only_once() -> None:
    confirmed_publisher = ConfirmedPublisher(
        NOBODY, exchange=EXCHANGE, routing_key=CREATE_KEY, timeout_s=0.3
    )
    with pytest.raises(BrokerAway) as caught:
        await confirmed_publisher.deliver([SentMessage(number=1, body=b"{}", message_id="m")])
    assert "secret" not in str(caught.value)


def test_the_brokers_queues_are_shown_with_their_waiting_messages(
    taskmill: Taskmill, intake_url: str, tmp_path: Path, stage_url: str
) -> None:
    (tmp_path / "tasks").write_bytes(b'{"name": "a"}\n' * 3)
    assert taskmill("queue", "publish", "--broker-url", intake_url, "tasks")[0] == 0
    asyncio.run(wait_for_hints(stage_url, intake_url))
    addresses = ("--broker-url", intake_url, "--database-url", as_role(stage_url, APP))
    status, out, _ = taskmill("broker", "status", *addresses)
    assert status == 0
    assert [line.split() for line in out.splitlines()[1:]] == [
        [CREATE_QUEUE, "3", "0"],
        [REJECTED_QUEUE, "0", "0"],
        [hint_queue_name((), ("emulate",)), "0", "0"],
    ]
    _, out, _ = taskmill("broker", "status", *addresses, "--json")
    first = orjson.loads(out.splitlines()[0])
    assert first == {"queue": CREATE_QUEUE, "messages": 3, "consumers": 0}


async def wait_for_hints(database_url: str, broker_url: str) -> None:
    """Open the leases of two workers, of which one has its hint queue at the broker."""
    async with a_stage(database_url) as stage:
        for types in ("{emulate}", "{*}"):
            lease_id = await stage.open_lease()
            await stage.sql.execute(
                "UPDATE taskmill.lease SET types = $1::text::text[] WHERE id = $2", types, lease_id
            )
    async with an_open_link(broker_url) as link:
        name = hint_queue_name((), ("emulate",))
        await topology.declare_hints(link, name, hint_bindings((), ("emulate",)))


def test_a_broker_on_which_nothing_has_run_yet_has_no_queues(
    taskmill: Taskmill, broker_url: str
) -> None:
    status, out, err = taskmill("broker", "status", "--broker-url", broker_url)
    assert (status, len(out.splitlines())) == (0, 1)
    assert "the intake makes it" in err


def test_an_unreachable_broker_is_one_line_without_its_password(taskmill: Taskmill) -> None:
    status, out, err = taskmill("broker", "status", "--broker-url", NOBODY)
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "secret" not in err


async def test_a_rebuild_notifies_the_relay(taskmill: Taskmill, stage_url: str) -> None:
    payloads: list[object] = []
    connection = await asyncpg.connect(stage_url)
    await connection.add_listener(CHANNEL, lambda *notified: payloads.append(notified[-1]))
    rebuild = ("broker", "rebuild", "--database-url", as_role(stage_url, APP))
    status, out, err = await asyncio.to_thread(taskmill, *rebuild)
    assert (status, out, err) == (0, "the relay sends hints about all tasks that are due\n", "")

    async def is_notified() -> bool:
        return payloads == [""]

    await eventually(is_notified, "a notification")
    await connection.close()


async def test_a_queue_that_is_not_there_hides_none_after_it(intake_url: str) -> None:
    names = ["missing", CREATE_QUEUE, "missing too", REJECTED_QUEUE]
    found = await depths.read_depths(intake_url, names)
    assert [depth.name for depth in found] == [CREATE_QUEUE, REJECTED_QUEUE]
