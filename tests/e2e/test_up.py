"""`taskmill up` without a broker: from an empty folder to a finished task, Ctrl-C, and a second start."""

import asyncio
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import psycopg
import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from tests.support.contracts import register
from tests.support.polling import wait_until
from tests.support.processes import Program, command_of, descendants

QUICK = {"TASKMILL_EMULATION__DELAY_MIN_S": "0.3", "TASKMILL_EMULATION__DELAY_MAX_S": "0.6"}
TERMINAL = {"succeeded", "failed"}


def start(folder: Path) -> Program:
    arguments = ("--port", "0", "--data", folder / "d", "--broker", "postgres")
    return Program("up", *arguments, folder=folder, env=QUICK)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with start(tmp_path_factory.mktemp("up")) as program:
        yield program


def statuses_until_terminal(client: httpx.Client, task_id: str) -> list[str]:
    seen: list[str] = []

    def is_terminal() -> bool:
        seen.append(client.get(f"/tasks/{task_id}").json()["status"])
        return seen[-1] in TERMINAL

    wait_until(is_terminal, "the task is terminal")
    return [status for status, _ in itertools.groupby(seen)]


def events_of(log: Path, task_id: str) -> list[str]:
    """What a log says of a task, its handler's own lines left out."""
    *whole, _ = log.read_text().split("\n")
    lines = [json.loads(line) for line in whole if line.startswith("{")]
    return [
        line["event"]
        for line in lines
        if line.get("task_id") == task_id and line["event"].startswith("task.")
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_what_nothing_has_used_yet_is_not_in_its_memory(up: Program) -> None:
    """The first test here: nothing has been listed or delivered. The key for callbacks is encrypted."""
    children = descendants(up.process.pid)
    ours = [
        up.process.pid,
        *(one for one in children if command_of(one).startswith("taskmill run")),
    ]
    assert len(ours) == 3
    heavy = ("sqlalchemy", "cryptography", "aiohttp")
    in_memory = {pid: Path(f"/proc/{pid}/maps").read_text() for pid in ours}
    assert [name for name in heavy for maps in in_memory.values() if name in maps] == []


def test_a_task_goes_through_all_steps_and_each_is_in_the_log_file(up: Program) -> None:
    with up.client() as client:
        # Like `curl -d`.
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        response = client.post("/tasks", content=b'{"name":"first"}', headers=form)
        assert response.status_code == 201
        task = response.json()
        assert task["status"] == "new"
        seen = statuses_until_terminal(client, task["id"])
        assert [*seen[:-1]][-1] == "in_progress"
        assert set(seen) - TERMINAL <= {"new", "in_progress"}
        listed = client.get("/tasks", params={"status": seen[-1]}).json()
        assert task["id"] in {item["id"] for item in listed["items"]}
    steps = ["task.created", "task.claimed", f"task.{seen[-1]}"]
    log_file = up.log_file.parent / "d" / "taskmill.log"
    # The log is written concurrently: a reader of the status may be faster.
    wait_until(
        lambda: len(events_of(log_file, task["id"])) >= len(steps), "each step is in the file"
    )
    assert events_of(log_file, task["id"]) == steps
    assert events_of(up.log_file, task["id"]) == steps[-1:], "standard error has the last one"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks processes, and has /proc")
def test_its_processes_are_forked_and_one_that_is_killed_is_started_again(up: Program) -> None:
    def commands() -> dict[int, str]:
        shown = {pid: command_of(pid) for pid in descendants(up.process.pid)}
        return {pid: command for pid, command in shown.items() if " run " in command}

    forked = {command: pid for pid, command in commands().items()}
    assert set(forked) == {"taskmill run worker", "taskmill run webhooks"}
    os.kill(forked["taskmill run worker"], signal.SIGKILL)
    wait_until(lambda: bool(up.logged("process.died")), "its end is logged")

    def is_replaced() -> bool:
        return any("-m taskmill run worker" in command for command in commands().values())

    wait_until(is_replaced, "another one was started")
    with up.client() as client:
        payload = {"delay_s": 0, "failure_probability": 0}
        task = client.post("/tasks", json={"name": "after", "payload": payload}).json()
        assert statuses_until_terminal(client, task["id"])[-1] == "succeeded"


def test_five_hundred_tasks_at_once_all_end(up: Program) -> None:
    with up.client() as client:
        tasks = [{"name": f"n{number}", "labels": {"lot": "500"}} for number in range(500)]
        ids = client.post("/tasks/batch", json=tasks).json()["ids"]
        assert len(set(ids)) == 500

        def all_ended() -> bool:
            counts = client.get("/stats").json()["by_status"]
            return bool(counts["new"] == counts["in_progress"] == 0)

        wait_until(all_ended, "all 500 are terminal")


def test_the_pages_for_people_are_served_from_here(up: Program) -> None:
    with up.client() as client:
        for path in ("/docs", "/redoc", "/task_service/docs"):
            page = client.get(path)
            assert page.status_code == 200
            assert "http" not in page.text.replace("http-equiv", "")


def test_a_contract_that_another_process_registers_soon_holds_in_this_api(up: Program) -> None:
    """And a task from SQL is run like any other."""
    contract = TypeContract(type="needs-to", schema='{"required": ["to"]}')

    async def register_elsewhere() -> UUID:
        url = up.facts["database_url"]
        database = Database(url, DatabaseSettings())
        await register(database, "another process", [contract])
        await database.close()
        connection = await asyncpg.connect(url)
        made: UUID = await connection.fetchval("SELECT taskmill.create_task('from SQL')")
        await connection.close()
        return made

    task = asyncio.run(register_elsewhere())
    with up.client() as client:

        def is_refused() -> bool:
            response = client.post(
                "/tasks", json={"name": "x", "type": "needs-to", "delay_s": 3600}
            )
            return response.status_code == 422

        wait_until(is_refused, "the contract holds")
        assert statuses_until_terminal(client, str(task))[-1] in TERMINAL
        for waiting in client.get("/tasks", params={"type": "needs-to"}).json()["items"]:
            client.post(f"/tasks/{waiting['id']}/cancel")


def test_ctrl_c_ends_every_process_and_the_next_start_has_the_data(tmp_path: Path) -> None:
    with start(tmp_path) as first, first.client() as client:
        task = client.post("/tasks", json={"name": "stored", "delay_s": 3600}).json()
        children = descendants(first.process.pid)
        assert len(children) >= 2, "PostgreSQL and a worker"
        assert first.interrupt() == 0
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "all ended")
    assert not first.ready_file.exists()
    with start(tmp_path) as second, second.client() as client:
        assert client.get(f"/tasks/{task['id']}").json() == task


def test_a_second_up_on_the_same_data_is_an_error_with_the_process_id(up: Program) -> None:
    folder = up.log_file.parent
    other = Program("up", "--port", "0", "--data", folder / "d", folder=folder / "other", env={})
    assert other.process.wait(30) == 1
    output = other.log_file.read_text()
    assert str(up.process.pid) in output
    assert "Traceback" not in output


def test_a_taken_port_is_an_error_in_one_line(up: Program, tmp_path: Path) -> None:
    port = up.facts["url"].rpartition(":")[2]
    other = Program("up", "--port", port, "--data", tmp_path / "d", folder=tmp_path, env={})
    assert other.process.wait(30) == 1
    output = other.log_file.read_text()
    assert port in output
    assert "Traceback" not in output


def test_the_data_folder_is_made_where_database_and_broker_are_elsewhere(
    database_url: str, tmp_path: Path
) -> None:
    data = tmp_path / "new" / "d"
    given = ("--database-url", database_url, "--broker", "postgres")
    with Program("up", "--port", "0", "--data", data, *given, folder=tmp_path, env={}) as up:
        assert up.facts["url"] in (data / "service.json").read_text()


def test_it_serves_while_the_index_over_names_is_made_and_ctrl_c_ends_that(
    database_url: str, tmp_path: Path
) -> None:
    given = ("--database-url", database_url, "--broker", "postgres", "--data", tmp_path / "d")
    with psycopg.connect(database_url) as holder:
        holder.execute("DROP INDEX taskmill.task_name_trigrams")
        holder.commit()
        # Making an index concurrently waits for who writes.
        holder.execute("LOCK TABLE taskmill.task_default IN ROW EXCLUSIVE MODE")
        with Program("up", "--port", "0", *given, folder=tmp_path, env=QUICK) as up:
            wait_until(lambda: bool(up.logged("name_index.making")), "it begins")
            with up.client() as client:
                task = client.post("/tasks", json={"name": "meanwhile"}).json()
                assert statuses_until_terminal(client, task["id"])[-1] in TERMINAL
            assert up.interrupt() == 0
        assert not up.logged("name_index.made", "name_index.left_out", "service.cancelled")
        assert "Traceback" not in up.log_file.read_text()
