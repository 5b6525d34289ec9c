"""The life of the embedded RabbitMQ, on real nodes."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest

from taskmill.embedded import rabbitmq
from taskmill.embedded.errors import (
    DataFolderInUseError,
    DataFolderUnusableError,
    NodeFailedError,
    NotRunningError,
)
from taskmill.embedded.fetching import find_or_fetch
from taskmill.embedded.rabbitmq import EmbeddedRabbitMQ
from taskmill.embedded.rabbitmq_programs import RabbitMQPrograms
from tests.support.polling import wait_until
from tests.support.rabbitmq import FAST_SETTINGS, await_queues_on_disk, processes_of


@pytest.fixture(scope="module")
def programs() -> RabbitMQPrograms:
    return find_or_fetch(print)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRabbitMQ]:
    """One node for the tests that change nothing; its path is long and has spaces, quotes and more."""
    folder = tmp_path_factory.mktemp("node") / "a \"b\" 'c' %20 $HOME ü d" / ("long " * 40)
    with EmbeddedRabbitMQ(folder, settings=FAST_SETTINGS) as node:
        yield node


@pytest.fixture
def node(tmp_path: Path) -> Iterator[EmbeddedRabbitMQ]:
    """A node that is not started yet."""
    node = EmbeddedRabbitMQ(tmp_path / "rabbitmq", settings=FAST_SETTINGS)
    yield node
    node.stop()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def publish(url: str, *bodies: bytes, queue: str = "kept") -> None:
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
        for body in bodies:
            persistent = aio_pika.DeliveryMode.PERSISTENT
            message = aio_pika.Message(body, delivery_mode=persistent)
            await channel.default_exchange.publish(message, routing_key=queue)


async def received(url: str, count: int, *, queue: str = "kept") -> list[bytes]:
    """Take `count` messages out of a queue."""
    bodies: list[bytes] = []
    async with await aio_pika.connect(url) as connection, asyncio.timeout(15):
        channel = await connection.channel()
        source = await channel.declare_queue(queue, passive=True)
        async with source.iterator() as messages:
            async for message in messages:
                await message.ack()
                bodies.append(message.body)
                if len(bodies) == count:
                    break
    return bodies


async def test_it_takes_and_gives_messages_wherever_its_folder_is(
    running: EmbeddedRabbitMQ,
) -> None:
    await publish(running.amqp_url, b"one", b"two")
    assert await received(running.amqp_url, 2) == [b"one", b"two"]


def test_everything_listens_on_loopback_only(running: EmbeddedRabbitMQ) -> None:
    ss = shutil.which("ss")
    assert ss, "this test needs ss (Debian: apt-get install iproute2)"
    done = subprocess.run([ss, "-Hltnp"], capture_output=True, check=True, text=True)  # noqa: S603 - fixed words
    ours = processes_of(running.data_dir)
    listeners = [
        line.split()[3]
        for line in done.stdout.splitlines()
        if any(f"pid={pid}," in line for pid in ours)
    ]
    assert len(listeners) >= 4, "AMQP, management, and Erlang's two"
    assert {address.rpartition(":")[0] for address in listeners} <= {"127.0.0.1", "[::1]"}


def test_only_its_owner_can_read_the_secrets(running: EmbeddedRabbitMQ) -> None:
    folder = running.data_dir
    password = urlsplit(running.amqp_url).password
    assert password
    assert len(password) == 48
    assert mode_of(folder / "home" / ".erlang.cookie") == 0o400
    assert mode_of(folder / "rabbitmq.conf") == mode_of(running.secrets_file) == 0o600
    assert running.pid in processes_of(folder)
    for pid in processes_of(folder):
        assert password.encode() not in command_line(pid)


def command_line(pid: int) -> bytes:
    # Some of them live for moments.
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


async def test_a_wrong_password_is_refused(running: EmbeddedRabbitMQ) -> None:
    url = running.amqp_url.replace(running.password, "guess")
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(url)


def test_a_second_owner_is_refused_with_the_pid_of_the_first(running: EmbeddedRabbitMQ) -> None:
    second = EmbeddedRabbitMQ(running.data_dir)
    with pytest.raises(DataFolderInUseError, match=f"in use by process {os.getpid()}"):
        second.start()
    assert running.is_ready(), "the first one is not disturbed"


async def test_a_stop_leaves_no_process_and_the_next_start_has_address_and_messages(
    node: EmbeddedRabbitMQ,
) -> None:
    with node:
        url = node.amqp_url
        await publish(url, *(b"%d" % number for number in range(100)))
        started = processes_of(node.data_dir)
        assert len(started) >= 2, "the server and epmd"
    # The last helpers of Erlang's end by themselves when the server has.
    wait_until(lambda: not any(map(exists, started)), "all ended", timeout_s=3)
    with node:
        assert node.amqp_url == url
        assert len(await received(url, 100)) == 100


async def test_a_killed_node_is_revived_at_its_address_with_what_it_confirmed(
    node: EmbeddedRabbitMQ,
) -> None:
    with node:
        assert node.revive() is False
        await publish(node.amqp_url, *(b"%d" % number for number in range(100)))
        await_queues_on_disk(node, "kept")
        assert node.pid
        os.kill(node.pid, signal.SIGKILL)
        wait_until(lambda: node.pid is None, "the death is noticed")
        assert node.revive() is True
        node.wait_until_ready()
        assert len(await received(node.amqp_url, 100)) == 100
    assert node.revive() is False


def test_the_address_is_known_before_there_are_programs(
    node: EmbeddedRabbitMQ, programs: RabbitMQPrograms
) -> None:
    url = node.reserve()
    assert not node.is_ready()
    assert node.start(programs) == node.start(programs) == url
    node.wait_until_ready()


def test_ports_that_are_taken_are_replaced(node: EmbeddedRabbitMQ) -> None:
    before = node.reserve()
    node.stop()
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", urlsplit(before).port or 0))
        stranger.listen()
        assert urlsplit(node.reserve()).port != urlsplit(before).port
    node.stop()
    with node:
        assert node.is_ready()


def test_a_node_that_dies_at_its_start_is_started_once_more(node: EmbeddedRabbitMQ) -> None:
    """As when a port is taken between its choice and its use."""
    node.start()
    pid = node.pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: node.pid is None, "the death is noticed")
    node.wait_until_ready()
    assert node.pid != pid


def test_a_node_that_can_not_start_says_why(tmp_path: Path) -> None:
    node = EmbeddedRabbitMQ(tmp_path / "data", settings={"no.such.setting": "1"})
    with pytest.raises(NodeFailedError, match=r"no\.such\.setting"), node:
        pass
    wait_until(lambda: not processes_of(tmp_path / "data"), "all ended", timeout_s=3)
    EmbeddedRabbitMQ(tmp_path / "data").reserve()  # the failed one has released the folder


def test_a_node_that_does_not_stop_is_made_to(
    node: EmbeddedRabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ((signal.SIGTERM, 0.05), (signal.SIGKILL, 5.0))
    monkeypatch.setattr(rabbitmq, "_STOP_STEPS", steps)
    node.start()
    pid = node.pid
    assert pid
    os.kill(pid, signal.SIGSTOP)
    node.stop()
    assert not exists(pid)


def test_a_node_that_is_stopped_while_it_starts_need_not_be_killed(
    node: EmbeddedRabbitMQ, programs: RabbitMQPrograms, monkeypatch: pytest.MonkeyPatch
) -> None:
    gentle_steps = [step for step in rabbitmq._STOP_STEPS if step[0] is not signal.SIGKILL]
    monkeypatch.setattr(rabbitmq, "_STOP_STEPS", gentle_steps)
    node.start(programs)
    pid = node.pid
    assert pid
    time.sleep(0.15)  # when its virtual machine loses signals
    node.stop()
    assert not exists(pid)


def test_a_stopped_node_has_no_address(node: EmbeddedRabbitMQ) -> None:
    with pytest.raises(NotRunningError, match="Start it first"):
        _ = node.amqp_url
    with pytest.raises(NotRunningError):
        _ = node.version


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusableError, match="file/data cannot be used"):
        EmbeddedRabbitMQ(tmp_path / "file" / "data").reserve()


def test_a_start_outside_the_main_thread_is_refused(node: EmbeddedRabbitMQ) -> None:
    with ThreadPoolExecutor(1) as thread, pytest.raises(RuntimeError, match="main thread"):
        thread.submit(node.start).result()
