"""The command that shows and follows what handlers logged."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("url")


def test_lines_are_shown_with_their_fields_claim_by_claim(
    taskmill: Taskmill, service: FakeService
) -> None:
    task = service.add()
    service.log_line(task, "report.began", fields={"pages": 3, "title": "a b"})
    service.log_line(task, "paper low\x1b[2J", level="warning", logger="printer")
    service.log_line(task, "again", claim_no=2)

    status, out, err = taskmill("task", "logs", task["id"])

    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [lines[0], lines[3]] == ["claim 1", "claim 2"]
    assert lines[1].endswith("  info      report.began  pages=3  title=a b")
    assert lines[2].endswith(r"  warning   paper low\x1b[2J  (printer)")
    assert lines[4].endswith("  info      again")


def test_a_traceback_comes_below_its_line(taskmill: Taskmill, service: FakeService) -> None:
    task = service.add()
    traceback = "Traceback (most recent call last):\n  File …\nLookupError: gone\x1b"
    service.log_line(task, "broken", level="error", fields={"exception": traceback, "n": 1})

    _, out, _ = taskmill("task", "logs", task["id"])

    lines = out.splitlines()
    assert lines[1].endswith("broken  n=1")
    assert lines[2:] == [
        "    Traceback (most recent call last):",
        "      File …",
        r"    LookupError: gone\x1b",
    ]


def test_lines_as_json_are_one_object_per_line(taskmill: Taskmill, service: FakeService) -> None:
    task = service.add()
    service.log_line(task, "a\nb", fields={"n": 1})
    service.log_line(task, "c")

    _, out, _ = taskmill("task", "logs", task["id"], "--json")

    first, second = map(orjson.loads, out.splitlines())
    assert (first["message"], first["fields"]) == ("a\nb", {"n": 1})
    assert (second["seq"], second["level"]) == (2, "info")


def test_filters_are_sent(taskmill: Taskmill, service: FakeService) -> None:
    task = service.add()

    taskmill("task", "logs", task["id"], "--level", "warning", "--claim", "2")

    assert "claim=2&level=warning&limit=1000" in service.requests[-1][1]


def test_a_task_that_logged_nothing_is_noted_on_standard_error(
    taskmill: Taskmill, service: FakeService
) -> None:
    task = service.add()

    assert taskmill("task", "logs", task["id"]) == (0, "", "nothing was logged\n")
    assert taskmill("task", "logs", task["id"], "--json") == (0, "", "")


def test_an_unknown_task_is_one_line_and_exit_status_1(taskmill: Taskmill) -> None:
    for more in ([], ["--follow"]):
        assert taskmill("task", "logs", "x", *more) == (1, "", "Error: there is no task\n")


def test_following_ends_with_the_task_and_has_its_last_lines(
    taskmill: Taskmill, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("taskmill.cli.logs.time.sleep", pauses.append)
    task = service.add()

    def logs_line(message: str, then: Callable[[dict[str, Any]], None] | None = None) -> Any:  # noqa: ANN401
        def act(stored: dict[str, Any]) -> None:
            if then:
                then(stored)
            service.log_line(stored, message)

        return act

    def nothing(_: dict[str, Any]) -> None:
        return None

    service.on_read += [
        nothing,
        logs_line("first", service.claim),
        nothing,
        logs_line("second"),
        lambda stored: service.end(stored, "failed"),
        nothing,
        logs_line("late"),
    ]

    status, out, _ = taskmill("task", "logs", task["id"], "--follow", "--json")

    assert status == 0
    assert [orjson.loads(line)["message"] for line in out.splitlines()] == [
        "first",
        "second",
        "late",
    ]
    assert len(pauses) == 7 + 4


def test_following_reads_page_after_page_without_a_pause(
    taskmill: Taskmill, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("taskmill.cli.logs.time.sleep", pauses.append)
    task = service.add()
    for n in range(2500):
        service.log_line(task, f"line {n}")
    service.end(task)

    _, out, _ = taskmill("task", "logs", task["id"], "--follow")

    assert len(out.splitlines()) == 2501
    assert len(pauses) == 1 + 4
