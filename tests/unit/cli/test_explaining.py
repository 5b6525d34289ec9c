"""`taskmill task explain` as its users meet it."""

from collections.abc import Callable

import orjson
import pytest

from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("url")


def test_what_holds_a_task_comes_first_and_then_every_blocker(
    taskmill: Taskmill, service: FakeService
) -> None:
    task = service.add(queue="mail")

    status, out, err = taskmill("task", "explain", task["id"])

    assert (status, err) == (0, "")
    assert out.splitlines() == [
        f"{task['id']}  new  Queue mail is paused.",
        "→  `taskmill queue resume mail`",
        "",
        "✓  finished          It has not ended.",
        "●  queue_paused      Queue mail is paused.",
        "●  no_worker         No worker lives.",
        "                     →  Start one.",
        "·  not reached: not_claimed",
    ]


@pytest.mark.parametrize(
    ("cause", "deleted", "words"),
    [
        ("tick", False, "made by schedule nightly  for its tick at 2030-01-31T01:30:00Z"),
        (
            "catch_up",
            False,
            "made by schedule nightly  for its missed tick at 2030-01-31T01:30:00Z",
        ),
        (
            "backfill",
            True,
            "made by schedule nightly  (deleted since)  for its tick at 2030-01-31T01:30:00Z, by a backfill",
        ),
        ("manual", False, "made by schedule nightly  by hand at 2030-01-31T01:30:00Z"),
    ],
)
def test_the_tick_that_made_a_task_is_named(
    taskmill: Taskmill, service: FakeService, cause: str, *, deleted: bool, words: str
) -> None:
    task = service.add()
    service.ticks[task["id"]] = {
        "name": "nightly",
        "tick": "2030-01-31T01:30:00Z",
        "cause": cause,
        "deleted": deleted,
    }

    _, out, _ = taskmill("task", "explain", task["id"])

    assert out.splitlines()[2] == words


def test_an_explanation_as_json_is_one_object(taskmill: Taskmill, service: FakeService) -> None:
    task = service.add()

    status, out, _ = taskmill("task", "explain", task["id"], "--json")

    result = orjson.loads(out)
    assert (status, result["task_id"], result["blocker"]) == (0, task["id"], "queue_paused")
    assert result["blockers"][1]["facts"] == {"queue": "default"}


def test_a_name_in_a_sentence_cannot_steer_the_terminal(
    taskmill: Taskmill, service: FakeService
) -> None:
    task = service.add(queue="a\x1b[2Jb\n[red]")

    _, out, _ = taskmill("task", "explain", task["id"])

    assert r"Queue a\x1b[2Jb\n[red] is paused." in out
    assert "\x1b" not in out


def test_an_unknown_task_is_one_line_and_exit_status_1(taskmill: Taskmill) -> None:
    assert taskmill("task", "explain", "x") == (1, "", "Error: there is no task\n")
