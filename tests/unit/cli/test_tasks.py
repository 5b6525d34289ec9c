"""The commands that list, show, cancel and retry tasks, as their users meet them."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import orjson
import pytest

from taskmill.cli import show
from tests.support.fake_service import FakeService, unused_url

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("url")


def test_a_list_into_a_pipe_cuts_nothing(taskmill: Taskmill, service: FakeService) -> None:
    name = "a long name " * 15
    task = service.add(name=name.strip(), labels={"a": "b"})

    _, out, _ = taskmill("task", "list")

    heading, row = out.splitlines()
    assert heading.split() == ["ID", "STATUS", "NAME", "QUEUE", "TYPE", "ATTEMPT", "CREATED"]
    assert row.startswith(task["id"])
    assert name.strip() in row
    assert "\x1b" not in out


def test_a_name_cannot_steer_the_terminal(taskmill: Taskmill, service: FakeService) -> None:
    task = service.add(name="a\x1b[2Jb\nc [red]d")

    _, listed, _ = taskmill("task", "list")
    _, shown, _ = taskmill("task", "show", task["id"])

    assert r"a\x1b[2Jb\nc [red]d" in listed
    assert r"a\x1b[2Jb\nc [red]d" in shown


def test_a_list_as_json_has_one_task_per_line_up_to_its_limit(
    taskmill: Taskmill, service: FakeService
) -> None:
    for number in range(5):
        service.add(name=str(number))

    _, out, _ = taskmill("task", "list", "--json", "--limit", "3")

    assert [orjson.loads(line)["name"] for line in out.splitlines()] == ["4", "3", "2"]


def test_all_tasks_of_several_pages_are_listed(taskmill: Taskmill, service: FakeService) -> None:
    for _ in range(501):
        service.add()

    _, out, _ = taskmill("task", "list", "--all")

    assert len(out.splitlines()) == 502
    assert len(service.requests) == 2


def test_filters_are_sent(taskmill: Taskmill, service: FakeService) -> None:
    taskmill(
        *("task", "list", "--status", "failed", "--status", "new", "--label", "a=b"),
        *("--created-after", "2030-01-31T09:00Z", "--order", "asc"),
    )

    query = service.requests[-1][1].partition("?")[2]
    assert "status=failed&status=new" in query
    assert "label=a%3Db" in query
    assert "created_after=2030-01-31T09%3A00%3A00%2B00%3A00" in query
    assert "order=asc" in query


def test_an_empty_list_is_noted_on_standard_error(taskmill: Taskmill) -> None:
    assert taskmill("task", "list") == (0, "", "no tasks\n")


def test_show_prints_the_task_and_its_history(taskmill: Taskmill, service: FakeService) -> None:
    error = {"type": "Boom", "message": "no luck"}
    task = service.add(name="report", payload={"n": 1}, labels={"team": "a"})
    task["progress"] = {"share": 0.4, "message": "page 4", "at": "2026-01-01T00:00:00Z"}
    service.claim(task)
    service.end(task, "failed", error=error)

    status, out, _ = taskmill("task", "show", task["id"])

    assert status == 0
    for text in ("report", "#1", "failed", 'payload      {"n":1}', "team=a", "Boom: no luck"):
        assert text in out
    assert "progress     40%  page 4" in out
    history = out.partition("History")[2].splitlines()[1:]
    assert len(history) == 3
    assert "attempt=1  claim=1" in history[1]
    assert "+1.5 s  failed" in history[2]
    assert "Boom: no luck" in history[2]


def test_show_as_json_has_the_history_in_it(taskmill: Taskmill, service: FakeService) -> None:
    task = service.add()

    _, out, _ = taskmill("task", "show", task["id"], "--json")

    assert orjson.loads(out)["events"][0]["event"] == "created"


def test_an_unknown_task_is_one_line_and_exit_status_1(taskmill: Taskmill) -> None:
    assert taskmill("task", "show", "x") == (1, "", "Error: there is no task\n")


def test_cancel_prints_what_happened_to_each(taskmill: Taskmill, service: FakeService) -> None:
    waiting, running, ended = service.add(), service.add(), service.add()
    service.claim(running)
    service.end(ended)

    status, out, err = taskmill("task", "cancel", ended["id"], waiting["id"], running["id"])

    assert status == 1
    assert out.splitlines() == [
        f"{waiting['id']}  cancelled",
        f"{running['id']}  it runs; its worker is asked to stop it",
    ]
    assert err == f"Error: {ended['id']}: it is succeeded\n"


def test_retry_makes_an_ended_task_new(taskmill: Taskmill, service: FakeService) -> None:
    task = service.add()
    service.end(task, "failed")

    assert taskmill("task", "retry", task["id"])[:2] == (0, f"{task['id']}  new\n")


def test_reschedule_changes_waiting_tasks(taskmill: Taskmill, service: FakeService) -> None:
    waiting, running = service.add(), service.add()
    service.claim(running)

    ids = (waiting["id"], running["id"])
    status, out, err = taskmill("task", "reschedule", *ids, "--now", "--priority", "9")

    assert (status, out) == (1, f"{waiting['id']}  new\n")
    assert err == f"Error: {running['id']}: it is in_progress\n"
    assert orjson.loads(service.requests[0][3]) == {"delay_s": 0, "priority": 9}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "expected --now, --run-at, --delay-s, --priority or --queue"),
        (("--now", "--delay-s", "5"), "--now is a due time of its own"),
        (("--now", "--run-at", "2030-01-31T09:00"), "--now is a due time of its own"),
        (("--priority", "10"), "expected a whole number from 0 to 9"),
    ],
)
def test_what_reschedule_can_not_mean_is_refused(
    taskmill: Taskmill, service: FakeService, options: tuple[str, ...], words: str
) -> None:
    task = service.add()

    status, _, err = taskmill("task", "reschedule", task["id"], *options)

    assert status == 2
    assert words in err
    assert service.requests == []


def test_a_missing_service_is_an_error_with_its_address_and_advice(taskmill: Taskmill) -> None:
    address = unused_url()

    status, out, err = taskmill("task", "list", "--url", address)

    assert (status, out) == (1, "")
    assert address in err
    assert "./taskmill up" in err
    assert "Traceback" not in err


def test_quiet_leaves_ids_alone(taskmill: Taskmill, service: FakeService) -> None:
    status, out, err = taskmill("task", "create", "first", "--quiet")
    [task_id] = service.tasks
    assert (status, out, err) == (0, f"{task_id}\n", "")

    assert taskmill("task", "list", "-q") == (0, f"{task_id}\n", "")
    assert taskmill("task", "cancel", "-q", task_id) == (0, "", "")


def test_events_prints_a_history(taskmill: Taskmill, service: FakeService) -> None:
    task_id = service.add()["id"]

    status, out, _ = taskmill("task", "events", task_id)
    assert (status, "created" in out, len(out.splitlines())) == (0, True, 1)

    _, out, _ = taskmill("task", "events", task_id, "--json")
    assert orjson.loads(out)["event"] == "created"


def test_a_wrong_path_is_an_error_with_the_address(
    taskmill: Taskmill, service: FakeService
) -> None:
    service.refuse_next(404, type="/problems/not-found", detail="this path leads nowhere")

    status, _, err = taskmill("task", "list")

    assert status == 1
    assert err.startswith("Error: this path leads nowhere: http://127.0.0.1:")
    assert err.endswith("/tasks\n")


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        ("150", ["ID", "STATUS", "NAME", "QUEUE", "TYPE", "ATTEMPT", "CREATED"]),
        ("88", ["ID", "STATUS", "NAME", "QUEUE", "CREATED"]),
        ("30", ["ID", "STATUS", "NAME"]),
    ],
)
def test_ids_are_whole_on_a_terminal_however_narrow(
    taskmill: Taskmill,
    service: FakeService,
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
    headings: list[str],
) -> None:
    task = service.add(name="a name that is quite long")
    # Its age takes room, too, and is shorter when it is of whole days.
    created_at = datetime.fromisoformat(task["created_at"])
    monkeypatch.setattr(show, "_now", lambda: created_at + timedelta(days=55, hours=11))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)

    _, out, _ = taskmill("task", "list")

    plain = re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines()
    assert plain[0].split() == headings
    assert plain[1].startswith(f"{task['id']}  new")
