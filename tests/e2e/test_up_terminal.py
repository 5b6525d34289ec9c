"""The output of `taskmill up` in a terminal, and that it goes on serving without one."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.polling import wait_until
from tests.support.processes import Program
from tests.support.terminal import Terminal

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(
    r"(?:info|warning) +((?:task|request)\.\w+)(?: +method=(\w+ )path=(\S+ status=\d+))?"
)
_SERVES = re.compile(r"Taskmill serves at (\S+)")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("terminal")
    up = ("up", "--port", "0", "--data", str(folder / "d"))
    with Terminal(*up, width=200) as started:
        wait_until(lambda: "Ctrl-C stops it" in started.sent, "the greeting", timeout_s=60)
        yield started
        started.type("\x03")
        assert started.exit_status() == 0


def test_the_start_of_its_own_broker_is_one_line(terminal: Terminal) -> None:
    with httpx.Client(base_url=_SERVES.findall(terminal.sent)[0]) as client:

        def is_ready() -> bool:
            return "intake.started" in terminal.sent and (
                client.get("/stats").json()["broker"]["state"] == "ok"
            )

        wait_until(is_ready, "the broker serves", timeout_s=90)
    assert "broker.away" not in terminal.sent
    assert "broker.connected" not in terminal.sent
    assert len(re.findall(r"m *rabbitmq\.ready", terminal.sent)) == 1


def test_each_task_has_one_line_and_successful_requests_have_none(terminal: Terminal) -> None:
    payload = {"delay_s": 0, "failure_probability": 0}
    with httpx.Client(base_url=_SERVES.findall(terminal.sent)[0]) as client:
        for name in ("first", "second"):
            task = client.post("/tasks", json={"name": name, "payload": payload}).json()
            assert client.get(f"/tasks/{task['id']}").status_code == 200
            wait_until(lambda: terminal.sent.count(task["id"]) > 0, "its line")  # noqa: B023 - called at once
        assert client.get("/queues").status_code == 200
        assert client.get("/no-such-page").status_code == 404
    wait_until(lambda: "no-such-page" in terminal.sent, "errors are written")
    lines = ["".join(found) for found in _LINE.findall(_COLOURS.sub("", terminal.sent))]
    assert lines == [
        "task.succeeded",
        "task.succeeded",
        "request.servedGET /no-such-page status=404",
    ]


@pytest.mark.parametrize("ending", ["| true", ">/dev/full"])
def test_it_goes_on_without_a_reader_of_its_output(tmp_path: Path, ending: str) -> None:
    script = f'"$0" -m taskmill "$@" {ending}'
    with Program(
        *("up", "--port", "0", "--data", tmp_path / "d", "--broker", "postgres"),
        folder=tmp_path,
        env={},
        command=("sh", "-c", script, sys.executable),
    ) as program:
        wait_until(lambda: bool(program.logged("worker.started")), "a worker", timeout_s=60)
        with program.client() as client:
            assert client.get("/readyz").status_code == 200
        subprocess.run(["kill", "-INT", str(program.facts["pid"])], check=True)  # noqa: S603, S607 - our own process
        wait_until(lambda: program.process.poll() is not None, "it ends", timeout_s=30)
