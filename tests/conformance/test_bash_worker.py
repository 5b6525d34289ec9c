"""What is special about the worker in bash and curl. What all workers share is in test_every_worker.py."""

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import ClassVar
from uuid import uuid4

import httpx
import orjson
import pytest

from tests.support.crews import BASH_WORKER, BashCrew
from tests.support.polling import wait_until
from tests.support.processes import FAST_LEASES, Program, descendants
from tests.support.serving_crews import Service


@pytest.fixture
def crew(service: Service, tmp_path: Path) -> BashCrew:
    url = str(service.http.base_url)
    return BashCrew(tmp_path, url=url, database_url=service.database_url)


def worker(
    service: Service, *arguments: str, env: Mapping[str, str] = MappingProxyType({})
) -> "subprocess.Popen[bytes]":
    running = subprocess.Popen(  # noqa: S603 - our own program
        [BASH_WORKER, "--url", str(service.http.base_url), *arguments],
        env={**os.environ, **env},  # noqa: TID251 - for a child
        start_new_session=True,
    )
    _STARTED.append(running)
    return running


_STARTED: list["subprocess.Popen[bytes]"] = []


@pytest.fixture(autouse=True)
def no_worker_left() -> Iterator[None]:
    """Kill workers that a failed test has not stopped: they would request tasks for ever."""
    yield
    while _STARTED:
        running = _STARTED.pop()
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def test_progress_is_shown_while_the_command_runs_and_stays(
    crew: BashCrew, service: Service, kind: str
) -> None:
    task_id = service.create(kind, "progress")
    with crew.member("first", kind):
        wait_until(lambda: service.get(task_id)["progress"] is not None, "progress")
        shown = service.get(task_id)["progress"]
        assert (shown["share"], shown["message"]) == (0.25, 'a "quarter"')
        (crew.folder / f"{kind}.go").touch()
        task = service.become(task_id, "succeeded")
    assert (task["progress"]["share"], task["progress"]["message"]) == (0.75, "more")


def test_all_that_a_command_has_started_is_stopped_with_it(
    crew: BashCrew, service: Service, kind: str
) -> None:
    task_id = service.create(kind, "hang")
    with crew.member("first", kind) as first:
        service.become(task_id, "in_progress")
        wait_until(lambda: len(sleepers(first.process.pid)) == 1, "the command's own child")
        [child] = sleepers(first.process.pid)
        service.http.post(f"/tasks/{task_id}/cancel")
        service.become(task_id, "cancelled")
        # Its new parent takes a moment to reap it.
        wait_until(lambda: not Path(f"/proc/{child}").exists(), "the child is gone")


def sleepers(pid: int) -> list[int]:
    """The descendants that sleep for a minute."""
    return [child for child in descendants(pid) if command(child) == b"sleep\x0060\x00"]


def command(pid: int) -> bytes:
    # It may have ended.
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def test_a_worker_that_waits_stops_at_once_and_leaves_nothing(
    crew: BashCrew, service: Service, kind: str
) -> None:
    with crew.member("first", kind) as first:
        service.become(service.create(kind, "return"), "succeeded")
        wait_until(lambda: b"curl" in commands(first.process.pid), "it to wait again")
        assert first.stop() == 0
        wait_until(lambda: "first" not in worker_names(service), "its lease to be gone")
    task_id = service.create(kind, "return")
    assert service.get(task_id)["status"] == "new"


def worker_names(service: Service) -> list[str]:
    return [one["name"] for one in service.http.get("/workers").json()["items"]]


def commands(pid: int) -> bytes:
    return b" ".join(map(command, descendants(pid)))


def test_results_may_be_json_and_what_is_no_json_fails_for_good(
    service: Service, kind: str
) -> None:
    good = service.create(kind, "return")
    running = worker(service, "--type", kind, "--json", "--", "cat")
    try:
        assert service.become(good, "succeeded")["result"] == {"do": "return"}
    finally:
        running.terminate()
        assert running.wait(15) == 0
    bad = service.create(kind, "return", max_attempts=3)
    running = worker(service, "--type", kind, "--json", "--", "echo", "{not json")
    try:
        task = service.become(bad, "failed")
    finally:
        running.terminate()
        assert running.wait(15) == 0
    assert task["error"]["type"] == "ResultRefused"
    assert "malformed-json" in task["error"]["message"]
    assert task["attempt"] == 1


def test_a_stop_reaches_every_waiter_even_when_its_first_attempt_fails(
    service: Service, tmp_path: Path, kind: str
) -> None:
    """Like a process that had only just been forked when the signal came."""
    received = tmp_path / "received"
    curl = tmp_path / "curl"
    curl.write_text(f"""#!/usr/bin/env bash
        trap 'touch "{received}"; trap - TERM' TERM
        touch "{tmp_path}/waits"
        for _ in {{1..400}}; do sleep 0.05; done""")
    curl.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"  # noqa: TID251 - for a child
    running = worker(service, "--type", kind, "--", "cat", env={"PATH": path})
    try:
        wait_until((tmp_path / "waits").exists, "it to wait")
    finally:
        running.terminate()
        assert running.wait(15) == 0
    assert received.exists()


def test_ctrl_c_twice_in_the_midst_of_work_changes_no_result_and_leaves_nothing(
    service: Service, tmp_path: Path, kind: str
) -> None:
    """A terminal sends it to all processes: also to the one that reads the command's output at this moment."""
    task_id = service.create(kind, "return")
    slow = tmp_path / "bin/cat"
    slow.parent.mkdir()
    slow.write_text(f"""#!/usr/bin/env bash
        # No process of its own makes the file: bash would take a signal for that one's, and go on.
        [ -e "{tmp_path}/reads" ] || {{ : >"{tmp_path}/reads"; exec sleep 60; }}
        exec {shutil.which("cat")} "$@" """)
    slow.chmod(0o755)
    temporary = tmp_path / "left"
    temporary.mkdir()
    env = {"PATH": f"{slow.parent}:{os.environ['PATH']}", "TMPDIR": str(temporary)}  # noqa: TID251 - for a child
    running = worker(service, "--type", kind, "--json", "--", "echo", "[1, 2]", env=env)
    try:
        wait_until((tmp_path / "reads").exists, "it to read the result")
    finally:
        os.killpg(running.pid, signal.SIGINT)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(15) == 0
    assert service.get(task_id)["result"] == [1, 2]
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_stop_at_any_moment_ends_it_soon_and_leaves_nothing(
    service: Service, tmp_path: Path, kind: str
) -> None:
    chance = random.Random(1)  # noqa: S311 - for moments, not for secrets
    for _ in range(60):
        task_id = service.create(kind, "return")
        running = worker(
            service, "--type", kind, "--json", "--", "cat", env={"TMPDIR": str(tmp_path)}
        )
        service.become(task_id, "succeeded")
        with suppress(subprocess.TimeoutExpired):
            # Most are stopped while they request the next task.
            running.wait(chance.uniform(0, 0.05))
        running.terminate()
        assert running.wait(5) == 0
        assert list(tmp_path.iterdir()) == []


def test_what_a_command_writes_to_its_standard_error_is_the_tasks_log(
    service: Service, kind: str, tmp_path: Path
) -> None:
    go_on = tmp_path / "go"
    script = f"""
        printf 'page "1"\n\nhalf a' >&2
        until [ -e '{go_on}' ]; do sleep 0.05; done
        echo ' line' >&2
        seq 4 150 >&2
        printf 'no end' >&2"""
    task_id = service.create(kind, "return")
    running = worker(service, "--type", kind, "--", "sh", "-c", script)
    try:
        wait_until(lambda: len(logged(service, task_id)) > 1, "whole lines while it runs")
        assert logged(service, task_id) == ['page "1"', ""]
        go_on.touch()
        service.become(task_id, "succeeded")
    finally:
        running.terminate()
        assert running.wait(15) == 0
    numbers = [str(number) for number in range(4, 151)]
    assert logged(service, task_id) == ['page "1"', "", "half a line", *numbers, "no end"]


def test_a_command_that_writes_more_than_a_log_holds_fills_it_and_goes_on(
    service: Service, kind: str
) -> None:
    task_id = service.create(kind, "return")
    running = worker(service, "--type", kind, "--", "sh", "-c", "seq 1 40000 >&2; echo done")
    try:
        assert service.become(task_id, "succeeded")["result"] == "done"
    finally:
        running.terminate()
        assert running.wait(15) == 0
    assert logged(service, task_id) == [str(number) for number in range(1, 1001)]


def logged(service: Service, task_id: str) -> list[str]:
    lines: list[str] = []
    query = {"limit": "1000"}
    while True:
        page = service.http.get(f"/tasks/{task_id}/logs", params=query).json()
        lines += [line["message"] for line in page["items"]]
        if len(page["items"]) < 1000:
            return lines
        query["cursor"] = page["next_cursor"]


@pytest.mark.parametrize(
    "raw",
    [b'\x00\xff"quoted" \\ \t tab\r\nline two\x1b[0m', b"", b"\xed\xa0\x80"],
    ids=["odd", "nothing", "a-surrogate"],
)
def test_whatever_a_command_writes_ends_as_text(
    service: Service, kind: str, raw: bytes, tmp_path: Path
) -> None:
    (tmp_path / "raw").write_bytes(raw)
    task_id = service.create(kind, "return")
    running = worker(service, "--type", kind, "--", "cat", str(tmp_path / "raw"))
    try:
        task = service.become(task_id, "succeeded")
    finally:
        running.terminate()
        running.wait(15)
    expected = {b"": "", b"\xed\xa0\x80": ""}
    assert task["result"] == expected.get(raw, '"quoted" \\ \t tab\r\nline two[0m')


LEASE_ID = str(uuid4())


class CutOff(BaseHTTPRequestHandler):
    """Hands out a task, but the connection breaks within its payload."""

    calls: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        """Respond with only a part of the body."""
        self.calls.append(self.path)
        task = {
            "id": str(uuid4()),
            "claim_no": 1,
            "timeout_s": None,
            "payload": {"text": "x" * 999},
        }
        response = orjson.dumps({"lease_id": LEASE_ID, "ttl_s": 30.0, "tasks": [task]})
        self.send_response(201)
        self.send_header("Content-Length", str(len(response)))
        self.end_headers()
        self.wfile.write(response[:-500])

    def do_DELETE(self) -> None:
        """Take the lease back."""
        self.calls.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def test_a_task_whose_response_was_cut_off_is_handed_back_and_not_run(tmp_path: Path) -> None:
    calls = CutOff.calls = []
    ran = tmp_path / "ran"
    with ThreadingHTTPServer(("127.0.0.1", 0), CutOff) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}"
        running = subprocess.Popen(  # noqa: S603 - our own program
            [BASH_WORKER, "--url", url, "--type", "x", "--", "touch", str(ran)],
            start_new_session=True,
        )
        try:
            wait_until(lambda: calls.count("/leases") > 1, "another request")
        finally:
            running.terminate()
            assert running.wait(15) == 0
            server.shutdown()
            serving.join()
    assert set(calls) == {"/leases", f"/leases/{LEASE_ID}"}
    assert not ran.exists()


def test_a_worker_outlives_its_server(service: Service, tmp_path: Path, kind: str) -> None:
    env = {**FAST_LEASES, "TASKMILL_DATABASE_URL": service.database_url}
    first = Program("run", "api", "--port", "0", folder=tmp_path / "one", env=env)
    with first:
        url = first.facts["url"]
        crew = BashCrew(tmp_path, url=url, database_url=service.database_url)
        task_id = service.create(kind, "hold first")
        with crew.member("first", kind):
            service.become(task_id, "in_progress")
            first.process.kill()
            first.process.wait(10)
            (tmp_path / f"{kind}.go").touch()
            port = str(httpx.URL(url).port)
            with Program("run", "api", "--port", port, folder=tmp_path / "two", env=env):
                task = service.become(task_id, "succeeded")
                assert service.become(service.create(kind, "return"), "succeeded")
    assert task["attempt"] == 1


def test_a_server_that_stops_lets_its_waiting_workers_go(
    service: Service, tmp_path: Path, kind: str
) -> None:
    env = {**FAST_LEASES, "TASKMILL_DATABASE_URL": service.database_url}
    with Program("run", "api", "--port", "0", folder=tmp_path / "api", env=env) as program:
        crew = BashCrew(tmp_path, url=program.facts["url"], database_url=service.database_url)
        with crew.member("first", kind) as first:
            service.become(service.create(kind, "return"), "succeeded")
            wait_until(lambda: b"curl" in commands(first.process.pid), "it to wait again")
            program.process.terminate()
            assert program.process.wait(8) == 0, (
                "it must not wait for the grace period of responses"
            )
    assert program.logged("service.cancelled") == []


@pytest.mark.parametrize(
    "arguments", [(), ("--type", "x"), ("--", "cat"), ("--type", "x", "--nonsense", "--", "cat")]
)
def test_invalid_arguments_are_reported(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [BASH_WORKER, *arguments], capture_output=True, text=True, timeout=10, check=False
    )
    assert done.returncode == 64
    assert done.stderr.startswith("usage:")


def test_a_refused_request_ends_the_worker(service: Service) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [BASH_WORKER, "--url", str(service.http.base_url), "--type", "No Type", "--", "cat"],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert done.returncode == 1
    assert "invalid-input" in done.stderr


def test_it_is_marked_as_a_program() -> None:
    assert os.access(BASH_WORKER, os.X_OK)
