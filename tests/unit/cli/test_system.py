"""The commands for queues, workers and stats."""

from collections.abc import Callable

import orjson
import pytest

from tests.support.fake_service import FakeService

Taskmill = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("url")


def test_queues_are_listed_with_their_state_and_counts(
    taskmill: Taskmill, service: FakeService
) -> None:
    service.add(queue="mail")
    service.end(service.add(queue="mail"))
    service.paused.add("mail")

    _, out, _ = taskmill("queue", "list")

    assert out.splitlines()[1].split() == ["mail", "paused", "1", "0", "1", "0", "0", "5", "-"]


def test_a_queue_is_paused_and_resumed(taskmill: Taskmill, service: FakeService) -> None:
    assert taskmill("queue", "pause", "mail")[:2] == (0, "mail  paused\n")
    assert service.paused == {"mail"}
    assert taskmill("queue", "resume", "mail")[:2] == (0, "mail  open\n")
    assert service.paused == set()


def test_workers_are_listed(taskmill: Taskmill) -> None:
    _, out, _ = taskmill("worker", "list")

    assert out.splitlines()[1].split()[:6] == ["host-1", "alive", "7", "1000", "all", "emulate"]


def test_stats_sum_up_all_queues(taskmill: Taskmill, service: FakeService) -> None:
    service.add(queue="a")
    service.end(service.add(queue="b"), "failed")

    _, out, _ = taskmill("stats")

    assert [line.split() for line in out.splitlines()[1:4]] == [
        ["a", "1", "0", "0", "0", "0", "5"],
        ["b", "0", "0", "0", "1", "0", "5"],
        ["all", "1", "0", "0", "1", "0", "10"],
    ]
    assert "2 tasks; 1 worker, 7 of 1,000 slots in use\nbroker  ok\n" in out


@pytest.mark.parametrize(
    ("state", "trouble", "told"),
    [
        ("away", "nobody answers", "broker  away  nobody answers"),
        ("none", None, "broker  none: workers claim from PostgreSQL"),
    ],
)
def test_stats_tell_of_a_broker_that_is_not_there(
    taskmill: Taskmill, service: FakeService, state: str, trouble: str | None, told: str
) -> None:
    service.broker = {"state": state, "trouble": trouble, "policy": "auto"}

    assert taskmill("stats")[1].splitlines()[-1] == told


@pytest.mark.parametrize(
    "command", [("queue", "list"), ("worker", "list"), ("stats",), ("queue", "pause", "a")]
)
def test_every_answer_has_a_form_for_programs(
    taskmill: Taskmill, service: FakeService, command: tuple[str, ...]
) -> None:
    service.add()

    status, out, _ = taskmill(*command, "--json")

    assert status == 0
    assert isinstance(orjson.loads(out), dict)
