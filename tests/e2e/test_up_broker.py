"""`taskmill up` with its own RabbitMQ: its address, its restarts and its end, and machines without one."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest

from taskmill.embedded.rabbitmq_programs import find_installed
from tests.support.polling import wait_until
from tests.support.processes import Program
from tests.support.rabbitmq import processes_of, publish_task

needs_bare_machine = pytest.mark.skipif(
    find_installed() is not None, reason="it needs a machine without RabbitMQ"
)


def start(folder: Path, *arguments: str, **env: str) -> Program:
    words: list[str | Path] = ["--port", "0", "--data", folder / "d", *arguments]
    return Program("up", *words, folder=folder, env=env)


def await_broker(program: Program, *, times: int = 1) -> None:
    def is_ready() -> bool:
        return len(program.logged("rabbitmq.ready")) >= times

    wait_until(is_ready, "RabbitMQ serves", timeout_s=60)


def service_file(folder: Path) -> Path:
    return folder / "d" / "service.json"


def broker_folder(folder: Path) -> Path:
    return folder / "d" / "rabbitmq"


def until_reported(program: Program, broker: str, intake: str) -> None:
    """Wait until the ready file has these states."""

    def is_reported() -> bool:
        facts = program.facts
        return (facts["broker"], facts["intake"]) == (broker, intake)

    try:
        wait_until(is_reported, f"broker {broker}, intake {intake}", timeout_s=60)
    except AssertionError as error:
        last_lines = program.log_file.read_text().splitlines()[-60:]
        error.add_note("\n".join([f"reported: {program.facts}", *last_lines]))
        raise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up with a broker")


@pytest.fixture(scope="module")
def up(folder: Path) -> Iterator[Program]:
    with start(folder) as program:
        await_broker(program)
        yield program


async def test_its_address_is_in_the_ready_file_and_in_the_data_folder(
    up: Program, folder: Path
) -> None:
    await asyncio.to_thread(until_reported, up, "ok", "ok")

    def are_alike() -> bool:
        return bool(json.loads(service_file(folder).read_text()) == up.facts)

    await asyncio.to_thread(wait_until, are_alike, "both files are the same")
    assert stat.S_IMODE(service_file(folder).stat().st_mode) == 0o600
    async with await aio_pika.connect(up.facts["amqp_url"]) as connection:
        channel = await connection.channel()
        await channel.declare_queue("any", durable=True)


async def test_a_message_becomes_a_task_that_is_run(up: Program) -> None:
    await asyncio.to_thread(until_reported, up, "ok", "ok")
    await publish_task(up.facts["amqp_url"], "by message")

    def has_succeeded() -> bool:
        with up.client() as client:
            tasks = client.get("/tasks", params={"name": "by message"}).json()["items"]
            return [task["status"] for task in tasks] == ["succeeded"]

    await asyncio.to_thread(wait_until, has_succeeded, "the task has succeeded")


def test_a_log_file_does_not_get_the_password(up: Program, folder: Path) -> None:
    password = json.loads((broker_folder(folder) / "node.json").read_text())["password"]
    assert password in up.facts["amqp_url"]
    output = up.log_file.read_text()
    assert password not in output
    assert password not in (folder / "d" / "taskmill.log").read_text()
    assert up.facts["amqp_url"].replace(password, "***") in output


def test_the_broker_starts_when_the_api_serves(up: Program) -> None:
    """Its start takes three seconds of a processor, which everything else would wait for."""
    events = [line["event"] for line in up.logged("api.started", "rabbitmq.started")]
    assert events[:2] == ["api.started", "rabbitmq.started"]


async def test_a_killed_broker_is_started_again_at_its_address(up: Program) -> None:
    before = len(up.logged("rabbitmq.ready"))
    os.kill(up.logged("rabbitmq.ready")[-1]["pid"], signal.SIGKILL)
    await asyncio.to_thread(until_reported, up, "away", "away")
    with up.client() as client:
        ready = client.get("/readyz")
        parts = ready.json()["parts"]
        assert (ready.status_code, parts["intake"]) == (200, "away: RabbitMQ is away")
    await asyncio.to_thread(await_broker, up, times=before + 1)
    assert up.logged("rabbitmq.died")
    await asyncio.to_thread(until_reported, up, "ok", "ok")
    await publish_task(up.facts["amqp_url"], "after")
    with up.client() as client:
        parts = client.get("/readyz").json()["parts"]
        assert (parts["broker"], parts["intake"]) == ("ok", "ok")


def test_ctrl_c_ends_the_broker_too_also_while_it_starts(tmp_path: Path) -> None:
    with start(tmp_path) as program:
        wait_until(lambda: bool(program.logged("rabbitmq.started")), "RabbitMQ was started")
        assert len(processes_of(broker_folder(tmp_path))) >= 2, "the server and epmd"
        assert program.interrupt() == 0
    wait_until(lambda: not processes_of(broker_folder(tmp_path)), "all ended", timeout_s=3)
    assert not service_file(tmp_path).exists()


def test_kill_9_leaves_no_process_of_the_broker(tmp_path: Path) -> None:
    with start(tmp_path) as program:
        wait_until(lambda: bool(program.logged("rabbitmq.started")), "RabbitMQ was started")
        program.process.kill()
        program.process.wait()
    wait_until(lambda: not processes_of(broker_folder(tmp_path)), "the broker has ended")


def test_without_a_broker_there_is_none(tmp_path: Path) -> None:
    with start(tmp_path, "--broker", "postgres") as program:
        facts = program.facts
        assert (facts["amqp_url"], facts["broker"], facts["intake"]) == (None, "none", "none")
        assert not broker_folder(tmp_path).exists()


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has no RabbitMQ and has not fetched one."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


@needs_bare_machine
def test_without_any_rabbitmq_up_goes_on_and_logs_how_to_get_it(
    tmp_path: Path, bare: dict[str, str]
) -> None:
    for name in ("unshare", "setpriv", "true", "test"):
        link_to_system(tmp_path / "bin", name)
    with start(tmp_path, **bare) as program, program.client() as client:
        assert program.facts["amqp_url"] is None
        assert program.logged("rabbitmq.absent")
        assert "queue intake is off" in program.log_file.read_text()
        assert client.post("/tasks", json={"name": "first"}).status_code == 201
    refused = start(tmp_path, "--broker", "rabbitmq", **bare)
    assert refused.process.wait(30) == 1
    output = refused.log_file.read_text()
    assert "no apt-get" in output
    assert "Traceback" not in output


@needs_bare_machine
def test_the_api_serves_while_the_broker_is_fetched_and_ctrl_c_ends_that(
    tmp_path: Path, bare: dict[str, str]
) -> None:
    """With an archive that never responds."""
    for name in ("unshare", "setpriv", "true", "test", "sh", "sleep", "dpkg-deb"):
        link_to_system(tmp_path / "bin", name)
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "bin" / "apt-get").chmod(0o755)
    cache = tmp_path / "cache" / "taskmill" / "rabbitmq"
    with start(tmp_path, **bare) as program, program.client() as client:
        wait_until(lambda: any(cache.glob("fetching-*")), "the fetch has begun")
        assert client.post("/tasks", json={"name": "first"}).status_code == 201
        assert program.interrupt() == 0
    assert [path.name for path in cache.iterdir()] == ["lock"]


@needs_bare_machine
def test_a_fetch_that_fails_is_logged_once_and_up_goes_on(
    tmp_path: Path, bare: dict[str, str]
) -> None:
    for name in ("unshare", "setpriv", "true", "test", "sh", "dpkg-deb"):
        link_to_system(tmp_path / "bin", name)
    (tmp_path / "bin" / "apt-get").write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 100\n")
    (tmp_path / "bin" / "apt-get").chmod(0o755)
    with start(tmp_path, **bare) as program, program.client() as client:
        wait_until(lambda: bool(program.logged("rabbitmq.unfetched")), "the failure is logged")
        (line,) = program.logged("rabbitmq.unfetched")
        assert "no network" in line["error"]
        assert "queue intake is off" in line["advice"]
        assert client.post("/tasks", json={"name": "first"}).status_code == 201


def link_to_system(folder: Path, name: str) -> None:
    for folder_of_system in ("/usr/bin", "/bin"):
        if (Path(folder_of_system) / name).exists():
            (folder / name).symlink_to(Path(folder_of_system) / name)
            return
