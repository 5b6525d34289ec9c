"""What is special about the worker in JavaScript. What all workers share is in test_every_worker.py."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.crews import NodeCrew
from tests.support.polling import wait_until
from tests.support.processes import ROOT
from tests.support.serving_crews import Service

EXAMPLE = ROOT / "examples/node-worker"
CREATE = """
const response = await fetch(`${process.argv[1]}/tasks`, {method: "POST", body: process.argv[2]});
console.log(response.status, await response.text());
"""


@pytest.fixture
def crew(service: Service, tmp_path: Path) -> NodeCrew:
    url = str(service.http.base_url)
    return NodeCrew(tmp_path, url=url, database_url=service.database_url)


def node(*arguments: str | Path) -> str:
    """Run a program, and return its output."""
    done = subprocess.run(  # noqa: S603 - our own
        ["node", *arguments],  # noqa: S607 - as it is installed
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout + done.stderr


def test_progress_is_shown_while_the_handler_runs_and_stays(
    crew: NodeCrew, service: Service, kind: str
) -> None:
    task_id = service.create(kind, "progress")
    with crew.member("first", kind):
        wait_until(lambda: service.get(task_id)["progress"] is not None, "progress")
        shown = service.get(task_id)["progress"]
        assert (shown["share"], shown["message"]) == (0.25, 'a "quarter"')
        (crew.folder / f"{kind}.go").touch()
        task = service.become(task_id, "succeeded")
    assert (task["progress"]["share"], task["progress"]["message"]) == (0.75, "more")


def test_what_a_handler_logs_is_the_tasks_log(crew: NodeCrew, service: Service, kind: str) -> None:
    task_id = service.create(kind, "log")
    with crew.member("first", kind):
        service.become(task_id, "succeeded")
    page = service.http.get(f"/tasks/{task_id}/logs", params={"limit": "1000"}).json()
    lines = [(line["message"], line["level"], line["fields"]) for line in page["items"]]
    assert lines == [(f"line {n}", "warning", {"number": n}) for n in range(1, 251)]


@pytest.mark.parametrize("what", ["bigint", "much"])
def test_a_result_that_is_not_taken_fails_for_good(
    crew: NodeCrew, service: Service, kind: str, what: str
) -> None:
    task_id = service.create(kind, what, max_attempts=3)
    with crew.member("first", kind):
        task = service.become(task_id, "failed")
    assert (task["error"]["type"], task["attempt"]) == ("ResultRefused", 1)


def test_a_worker_that_waits_stops_at_once_and_leaves_nothing(
    crew: NodeCrew, service: Service, kind: str
) -> None:
    with crew.member("first", kind) as first:
        service.become(service.create(kind, "return"), "succeeded")
        assert first.stop() == 0
        assert b" stopped" in first.log.read_bytes()
        names = [one["name"] for one in service.http.get("/workers").json()["items"]]
        assert "first" not in names


def test_a_refused_request_ends_the_worker(crew: NodeCrew) -> None:
    with crew.member("first", "No-Type") as first:
        assert first.process.wait(15) == 1
        assert b"invalid-input" in first.log.read_bytes()


def test_fetch_creates_a_task_from_a_text_without_a_word_on_its_type(
    service: Service, kind: str
) -> None:
    """It sends `text/plain` by default."""
    body = json.dumps({"name": "by fetch", "type": kind})
    url = str(service.http.base_url)
    status, _, task = node("--input-type=module", "-e", CREATE, url, body).partition(" ")
    assert (status, json.loads(task)["name"]) == ("201", "by fetch")


def test_the_page_of_the_example_shows_what_it_does(service: Service, tmp_path: Path) -> None:
    page = (EXAMPLE / "README.md").read_text("utf-8")
    shown = page.split('```js title="shout.mjs"\n')[1].split("```")[0]
    shutil.copy(EXAMPLE / "worker.mjs", tmp_path)
    (tmp_path / "shout.mjs").write_text(shown)
    response = service.http.post(
        "/tasks", json={"name": "hello", "type": "shout", "payload": {"text": "hello"}}
    )
    task_id = response.json()["id"]
    with (tmp_path / "log").open("wb") as log:
        running = subprocess.Popen(  # noqa: S603 - our own
            ["node", tmp_path / "shout.mjs"],  # noqa: S607 - as it is installed
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/bin:/usr/local/bin", "TASKMILL_URL": str(service.http.base_url)},
        )
        try:
            task = service.become(task_id, "succeeded")
        finally:
            running.terminate()
            assert running.wait(15) == 0
    assert (task["result"], task["progress"]["share"]) == ("HELLO", 0.5)
    [line] = service.http.get(f"/tasks/{task_id}/logs").json()["items"]
    assert (line["message"], line["fields"]) == ("it gets loud", {"length": 5})
