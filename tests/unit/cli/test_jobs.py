"""`taskmill job`, and the jobs that `task cancel` and `task retry` start."""

from collections.abc import Callable

import orjson
import pytest

from tests.support.fake_responses import START
from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("url")


def sent(service: FakeService) -> dict[str, object]:
    """Return the body of the last request."""
    found: dict[str, object] = orjson.loads(service.requests[-1][3])
    return found


def test_a_retry_with_a_plan_is_a_job_when_that_is_asked_for(
    taskmill: Taskmill, service: FakeService
) -> None:
    options = ("--queue", "a", "--per-second", "2.5", "--delay-s", "60", "--limit", "10", "--yes")
    status, out, err = taskmill("task", "retry", "--job", *options)
    [job] = service.jobs.all
    assert (status, out) == (0, f"{job}\n")
    assert f"taskmill job show {job}" in err
    assert sent(service) == {
        "action": "retry",
        "queue": "a",
        "limit": 10,
        "delay_s": 60.0,
        "per_second": 2.5,
    }


def test_a_cancel_is_a_job_when_that_is_asked_for(taskmill: Taskmill, service: FakeService) -> None:
    status, out, err = taskmill("task", "cancel", "--all", "--job", "--yes", "--json")
    assert (status, err) == (0, "")
    assert orjson.loads(out)["action"] == "cancel"
    assert sent(service) == {"action": "cancel", "all": True}


def test_a_job_changes_no_more_tasks_than_a_person_confirmed(
    taskmill: Taskmill, service: FakeService, person: Callable[[str], None]
) -> None:
    for _ in range(3):
        service.end(service.add(), "failed")
    person("y\n")
    status, _, err = taskmill("task", "retry", "--all", "--job")
    assert (status, sent(service)["limit"]) == (0, 3)
    assert "Run again 3 tasks?" in err
    person("y\n")
    _, _, err = taskmill("task", "retry", "--all", "--job", "--limit", "2")
    assert sent(service)["limit"] == 2
    assert "Run again 2 tasks?" in err
    person("n\n")
    assert taskmill("task", "retry", "--all", "--job")[0] == 1
    assert len(service.jobs.all) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("task", "retry", "x", "--job"),
        ("task", "retry", "--all", "--per-second", "0"),
        ("task", "retry", "--all", "--limit", "0"),
        ("task", "cancel", "--all", "--per-second", "1"),
        ("task", "retry", "--job"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    taskmill: Taskmill, service: FakeService, arguments: tuple[str, ...]
) -> None:
    assert taskmill(*arguments)[0] == 2
    assert service.requests == []


def test_jobs_are_listed_shown_and_stopped(taskmill: Taskmill, service: FakeService) -> None:
    running = service.jobs.add(limit=5000, changed=1200, per_second=20.0, last_at=START.isoformat())
    over = service.jobs.add(state="limited", action="cancel", filter=None, picked=3, changed=3)
    failed = service.jobs.add(state="failed", problem="key-ended")
    status, out, _ = taskmill("job", "list")
    assert status == 0
    for text in (running["id"], "status=failed", "1,200", "limited", "3 picked", "key-ended"):
        assert text in out
    assert taskmill("job", "list", "--quiet")[1].split() == [
        one["id"] for one in (running, over, failed)
    ]
    _, out, _ = taskmill("job", "show", running["id"])
    for text in ("retry", "running", "1,200 of 5,000", "20/s", "last due", "by 127.0.0.1"):
        assert text in out
    status, out, _ = taskmill("job", "stop", running["id"])
    assert (status, "stopping" in out) == (0, True)
    # No stop takes back what waits.
    assert "last due" in out
    status, _, err = taskmill("job", "stop", "01a21058-2f60-7000-9c41-7d0be2a6f318")
    assert (status, "no such job" in err) == (1, True)
