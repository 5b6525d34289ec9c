"""`task cancel` and `task retry` by filter: counted, confirmed, done."""

from collections.abc import Callable

import orjson
import pytest

from taskmill.cli.sweeping import progress
from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("url")


def statuses(service: FakeService) -> list[str]:
    return [task["status"] for task in service.tasks.values()]


def test_a_dry_run_counts_and_changes_nothing(taskmill: Taskmill, service: FakeService) -> None:
    for queue in ("a", "a", "a", "b"):
        service.add(queue=queue)

    assert taskmill("task", "cancel", "--queue", "a", "--dry-run") == (0, "3 tasks fit\n", "")
    assert statuses(service) == ["new"] * 4


def test_with_yes_matching_tasks_are_cancelled_without_a_question(
    taskmill: Taskmill, service: FakeService
) -> None:
    tasks = [service.add(queue="a") for _ in range(3)]
    service.add(queue="b")
    service.claim(tasks[0])

    status, out, _ = taskmill("task", "cancel", "--queue", "a", "--yes")

    assert (status, out) == (0, "2 cancelled, 1 running, asked to stop\n")
    assert statuses(service) == ["in_progress", "cancelled", "cancelled", "new"]


def test_an_error_midway_shows_what_was_done(taskmill: Taskmill, service: FakeService) -> None:
    for _ in range(5):
        service.end(service.add(), "failed")
    service.serve_next()
    service.refuse_next(500, detail="broken")

    status, out, err = taskmill("task", "retry", "--all", "--yes")

    assert (status, out) == (1, "")
    assert err == "broken off: 2 new again, maybe more\nError: broken\n"


def test_a_person_confirms_or_declines(
    taskmill: Taskmill, service: FakeService, person: Callable[[str], None]
) -> None:
    for _ in range(3):
        service.end(service.add(), "failed")

    person("n\n")
    status, _, err = taskmill("task", "retry", "--all")
    assert "Run again 3 tasks? [y/N]" in err
    assert (status, statuses(service)) == (1, ["failed"] * 3)

    person("y\n")
    status, out, _ = taskmill("task", "retry", "--all")
    assert (status, out) == (0, "3 new again\n")
    assert statuses(service) == ["new"] * 3

    person("")
    assert taskmill("task", "retry", "--all")[:2] == (0, "0 tasks fit\n")


@pytest.mark.parametrize(
    ("pairs", "more", "question"),
    [
        ([("a", "pay")], 0, "of queue a, type pay?"),
        ([("a", "pay"), ("b", "pay")], 0, "of queues a, b, type pay?"),
        (
            [(f"q{n}", "pay") for n in range(6)],
            3,
            "of queues q0, q1, q2, q3 and 2 more, type pay and maybe others?",
        ),
    ],
)
def test_the_question_names_queues_and_types(
    taskmill: Taskmill,
    service: FakeService,
    person: Callable[[str], None],
    *,
    pairs: list[tuple[str, str]],
    more: int,
    question: str,
) -> None:
    for _ in range(3):
        service.end(service.add(), "failed")
    items = [{"queue": queue, "type": type_, "tasks": 1} for queue, type_ in pairs]
    service.groups = {"items": items, "more": more, "running": 0, "are_complete": True}

    person("n\n")
    assert f"Run again 3 tasks {question}" in taskmill("task", "retry", "--all")[2]


@pytest.mark.parametrize(
    ("typed", "is_done"), [("y", False), ("", False), ("2", False), ("3", True), ("3,", True)]
)
def test_a_large_number_is_typed(
    taskmill: Taskmill,
    service: FakeService,
    person: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    *,
    is_done: bool,
) -> None:
    monkeypatch.setattr("taskmill.cli.sweeping.MOST_UNTYPED", 2)
    for _ in range(3):
        service.end(service.add(), "failed")

    person(f"{typed}\n")
    status, _, err = taskmill("task", "retry", "--all")

    assert "Run again 3 tasks? Type the number" in err
    assert statuses(service) == ["new" if is_done else "failed"] * 3
    assert status == (0 if is_done else 1)


def test_without_a_terminal_it_needs_yes(taskmill: Taskmill, service: FakeService) -> None:
    service.add()

    status, _, err = taskmill("task", "cancel", "--all")

    assert (status, statuses(service)) == (2, ["new"])
    assert "--yes" in err


@pytest.mark.parametrize(
    "arguments",
    [(), ("--yes",), ("x", "--queue", "a"), ("x", "--all"), ("x", "--dry-run"), ("x", "--yes")],
)
def test_tasks_are_given_by_ids_or_by_a_filter(
    taskmill: Taskmill, service: FakeService, arguments: tuple[str, ...]
) -> None:
    assert taskmill("task", "cancel", *arguments)[0] == 2
    assert service.requests == []


def test_all_filters_reach_the_service(taskmill: Taskmill, service: FakeService) -> None:
    filters = ("--status", "failed", "--type", "t", "--label", "a=1", "--name", "x")
    times = ("--created-after", "2030-01-31T09:00Z", "--created-before", "2030-02-01T00:00Z")

    status, out, _ = taskmill("task", "retry", "--dry-run", "--json", *filters, *times)

    assert (status, orjson.loads(out)["dry_run"]) == (0, True)
    sent = orjson.loads(service.requests[-1][3])
    assert sent == {
        "status": ["failed"],
        "type": "t",
        "label": ["a=1"],
        "name": "x",
        "created_after": "2030-01-31T09:00:00+00:00",
        "created_before": "2030-02-01T00:00:00+00:00",
        "dry_run": True,
        "cursor": None,
    }


def test_a_bar_fills_up_and_never_over() -> None:
    assert progress(0, 4000, "cancelled") == f"[{'.' * 30}] 0 of 4,000 cancelled"
    assert progress(2000, 4000, "cancelled") == f"[{'#' * 15}{'.' * 15}] 2,000 of 4,000 cancelled"
    assert progress(5000, 4000, "cancelled") == f"[{'#' * 30}] 5,000 of 4,000 cancelled"
    assert progress(5000, None, "counted") == "5,000 counted"


def test_a_plan_reaches_the_service_and_is_no_filter(
    taskmill: Taskmill, service: FakeService
) -> None:
    plan = ("--limit", "3", "--delay-s", "60", "--per-second", "10")

    assert taskmill("task", "retry", *plan, "--yes")[0] == 2
    assert taskmill("task", "retry", "4711", *plan)[0] == 2
    assert service.requests == []

    assert taskmill("task", "retry", "--error", "E: no", *plan, "--dry-run")[0] == 0
    sent = orjson.loads(service.requests[-1][3])
    assert (sent["error"], sent["limit"]) == ("E: no", 3)
    assert (sent["delay_s"], sent["per_second"]) == (60.0, 10)
