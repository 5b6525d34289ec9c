"""Commands that follow tasks to their end: what they print, and their exit status."""

from collections.abc import Callable
from uuid import uuid4

import orjson
import pytest

from tests.support.fake_service import FakeService, unused_url

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("url")


def test_create_and_wait_follows_the_task_to_its_end(
    taskmill: Taskmill, service: FakeService
) -> None:
    error = {"type": "EmulatedFailure", "message": "as asked"}
    service.on_read += [service.claim, lambda task: service.end(task, "failed", error=error)]

    status, out, _ = taskmill("task", "create", "x", "--wait")

    assert status == 1
    assert out.splitlines()[0] in service.tasks
    assert "claimed" in out
    assert "worker=host-1" in out
    assert "error=EmulatedFailure: as asked" in out


@pytest.mark.parametrize(
    ("end", "exit_status"), [("succeeded", 0), ("failed", 1), ("cancelled", 3)]
)
def test_the_exit_status_of_watch_is_the_end_of_the_task(
    taskmill: Taskmill, service: FakeService, end: str, exit_status: int
) -> None:
    task = service.add()
    service.on_read += [lambda _: None, lambda stored: service.end(stored, end)]

    status, out, _ = taskmill("task", "watch", task["id"])

    assert status == exit_status
    first, last = out.splitlines()
    assert first.endswith("created")
    assert "+1.5 s" in last
    assert end in last


def test_watch_as_json_prints_the_task_at_each_change(
    taskmill: Taskmill, service: FakeService
) -> None:
    task = service.add()
    service.on_read += [lambda _: None, service.claim, lambda _: None, service.end]

    _, out, _ = taskmill("task", "watch", task["id"], "--json")

    statuses = [orjson.loads(line)["status"] for line in out.splitlines()]
    assert statuses == ["new", "in_progress", "succeeded"]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        (["succeeded", "succeeded"], 0),
        (["cancelled", "succeeded"], 3),
        (["failed", "cancelled"], 1),
        (["cancelled", "failed"], 1),
    ],
)
def test_the_exit_status_of_wait_is_the_worst_end(
    ends: list[str], expected: int, taskmill: Taskmill, service: FakeService
) -> None:
    ids = [service.add(status=status)["id"] for status in ends]

    status, out, _ = taskmill("task", "wait", *ids)

    assert status == expected
    assert [line.split() for line in out.splitlines()] == [
        list(pair) for pair in zip(ids, ends, strict=True)
    ]
    assert taskmill("task", "wait", "--quiet", *ids) == (expected, "", "")


def test_wait_gives_up_when_the_time_is_over(taskmill: Taskmill, service: FakeService) -> None:
    task_id = service.add()["id"]

    status, out, err = taskmill("task", "wait", "--timeout-s", "0.05", task_id)

    assert (status, out) == (4, "")
    assert task_id in err


@pytest.mark.parametrize("command", [["watch"], ["wait"], ["wait", "-q"]])
def test_an_unknown_outcome_is_no_failure(taskmill: Taskmill, command: list[str]) -> None:
    unknown = str(uuid4())

    status, out, err = taskmill("task", *command, unknown)
    assert (status, out) == (5, "")
    assert "there is no task" in err

    status, _, err = taskmill("task", *command, unknown, "--url", unused_url())
    assert status == 5
    assert "taskmill up" in err


def test_a_new_task_that_can_not_be_followed_is_named(
    taskmill: Taskmill, service: FakeService
) -> None:
    service.serve_next()
    service.refuse_next(404, detail="gone")

    status, out, err = taskmill("task", "create", "x", "--wait", "--json")

    assert (status, out) == (5, "")
    assert err == f"it goes on: {next(iter(service.tasks))}\nError: gone\n"


def test_a_wait_that_is_over_names_the_given_time(taskmill: Taskmill, service: FakeService) -> None:
    ended, waiting = service.add(), service.add()
    service.end(ended)

    status, _, err = taskmill("task", "wait", ended["id"], waiting["id"], "--timeout-s", "0.2")

    assert status == 4
    assert err == f"task {waiting['id']} is still new after 0.2 s\n"
