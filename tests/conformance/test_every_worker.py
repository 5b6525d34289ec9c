"""What every kind of worker does: Taskmill's own, and two that pull over HTTP, in bash and in JavaScript."""

from pathlib import Path

import pytest

from tests.support.crews import CREWS, Crew
from tests.support.serving_crews import Service


@pytest.fixture(params=CREWS)
def crew(request: pytest.FixtureRequest, service: Service, tmp_path: Path) -> Crew:
    """Each kind of worker."""
    url = str(service.http.base_url)
    return CREWS[request.param](tmp_path, url=url, database_url=service.database_url)


def test_what_the_work_gives_is_the_tasks_result(crew: Crew, service: Service, kind: str) -> None:
    task_id = service.create(kind, "return")
    with crew.member("first", kind):
        task = service.become(task_id, "succeeded")
    assert task["result"] == f'claim 1 of "{kind}"'
    assert (task["attempt"], task["losses"], task["error"]) == (1, 0, None)
    assert service.history(task_id)[1:] == [("claimed", "first"), ("succeeded", "first")]


def test_a_failure_is_the_tasks_error(crew: Crew, service: Service, kind: str) -> None:
    task_id = service.create(kind, "fail")
    with crew.member("first", kind):
        task = service.become(task_id, "failed")
    assert task["error"]["message"].strip() == "no such customer"
    assert task["result"] is None
    [*_, last] = service.events(task_id)
    assert (last["reason"], last["worker"]) == ("error", "first")


def test_a_failure_is_tried_again_while_there_are_attempts(
    crew: Crew, service: Service, kind: str
) -> None:
    task_id = service.create(kind, "fail once", max_attempts=2)
    with crew.member("first", kind):
        task = service.become(task_id, "succeeded")
        hopeless = service.create(kind, "fail", max_attempts=2)
        service.become(hopeless, "failed")
    assert (task["attempt"], task["error"]) == (2, None)
    history = [event for event, _ in service.history(task_id)]
    assert history == ["created", "claimed", "retry_scheduled", "claimed", "succeeded"]
    history = [event for event, _ in service.history(hopeless)]
    assert history == ["created", "claimed", "retry_scheduled", "claimed", "failed"]


def test_a_permanent_failure_is_not_tried_again(crew: Crew, service: Service, kind: str) -> None:
    task_id = service.create(kind, "fail for good", max_attempts=5)
    with crew.member("first", kind):
        task = service.become(task_id, "failed")
    assert task["attempt"] == 1
    assert service.events(task_id)[-1]["reason"] == "permanent"


def test_a_dead_workers_task_is_taken_by_another_and_no_attempt_is_spent(
    crew: Crew, service: Service, kind: str
) -> None:
    task_id = service.create(kind, "hold first")
    with crew.member("first", kind) as first:
        service.become(task_id, "in_progress")
        first.kill()
    with crew.member("second", kind):
        task = service.become(task_id, "succeeded")
    assert (task["attempt"], task["losses"]) == (1, 1)
    assert task["result"] == f'claim 2 of "{kind}"'
    history = service.history(task_id)
    assert [event for event, _ in history] == [
        "created",
        "claimed",
        "lost",
        "claimed",
        "succeeded",
    ]
    assert history[-1] == ("succeeded", "second")


def test_a_frozen_worker_changes_nothing_when_it_wakes(
    crew: Crew, service: Service, kind: str
) -> None:
    task_id = service.create(kind, "hold first")
    with crew.member("first", kind) as first:
        service.become(task_id, "in_progress")
        first.freeze()
        with crew.member("second", kind):
            task = service.become(task_id, "succeeded")
        (crew.folder / f"{kind}.go").touch()
        first.wake()
        # Once it has done another task it works again, and has reported whatever it had to report.
        other = service.create(kind, "return")
        service.become(other, "succeeded")
        assert service.history(other)[-1] == ("succeeded", "first")
    assert service.get(task_id) == task
    assert service.history(task_id)[-1] == ("succeeded", "second")


def test_a_cancel_stops_the_work(crew: Crew, service: Service, kind: str) -> None:
    task_id = service.create(kind, "hang", max_attempts=5)
    with crew.member("first", kind):
        service.become(task_id, "in_progress")
        assert service.http.post(f"/tasks/{task_id}/cancel").status_code == 202
        task = service.become(task_id, "cancelled")
        other = service.create(kind, "return")
        service.become(other, "succeeded")
    assert task["attempt"] == 1
    [*_, last] = service.events(task_id)
    assert (last["event"], last["worker"]) == ("cancelled", "first")


def test_an_attempt_that_runs_too_long_has_failed(crew: Crew, service: Service, kind: str) -> None:
    task_id = service.create(kind, "hang", timeout_s=1)
    with crew.member("first", kind):
        task = service.become(task_id, "failed")
        other = service.create(kind, "return")
        service.become(other, "succeeded")
    assert task["error"]["type"] == "Timeout"
    assert service.events(task_id)[-1]["reason"] == "timeout"


def test_a_worker_that_is_stopped_hands_back_what_it_runs_at_no_cost(
    crew: Crew, service: Service, kind: str
) -> None:
    task_id = service.create(kind, "hang", max_losses=0)
    with crew.member("first", kind, grace_s=0) as first:
        service.become(task_id, "in_progress")
        assert first.stop() == 0
    task = service.get(task_id)
    assert (task["status"], task["attempt"], task["losses"]) == ("new", 0, 0)
    assert service.history(task_id)[-1] == ("handed_back", "first")


def test_a_worker_that_is_stopped_lets_the_work_end_within_its_grace_time(
    crew: Crew, service: Service, kind: str
) -> None:
    task_id = service.create(kind, "hold first")
    with crew.member("first", kind) as first:
        service.become(task_id, "in_progress")
        first.process.terminate()
        waiting = service.create(kind, "return")
        (crew.folder / f"{kind}.go").touch()
        assert first.process.wait(15) == 0
    assert service.get(task_id)["status"] == "succeeded"
    assert service.get(waiting)["status"] == "new", "it took nothing more"


def test_tasks_of_other_types_are_left_alone(crew: Crew, service: Service, kind: str) -> None:
    other = service.create(f"x-{kind}"[:60], "return")
    mine = service.create(kind, "return")
    with crew.member("first", kind):
        service.become(mine, "succeeded")
    assert service.get(other)["status"] == "new"
