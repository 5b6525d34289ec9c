"""Of which queues and types many tasks are, and how much work they are."""

from typing import Any

import pytest

from taskmill.domain.activity import Durations, Flow
from taskmill.domain.system import Liveness, WorkerRequest
from taskmill.domain.task_groups import TaskGroups
from tests.support.attention import worker

GROUPS = TaskGroups(tasks={("a", "mail"): 3, ("b", "mail"): 4, ("a", "pay"): 1})
FLOWS = {"mail": Flow(running=Durations(seconds=20.0, buckets={30: 10}))}


def test_queues_and_types_are_counted_the_most_first() -> None:
    assert GROUPS.total == 8
    assert GROUPS.queues == [("a", 4), ("b", 4)]
    assert GROUPS.types == [("mail", 7), ("pay", 1)]


def test_two_parts_are_added_and_are_whole_if_both_are() -> None:
    more = TaskGroups(tasks={("a", "mail"): 2}, running=2)
    both = GROUPS + more
    assert both.tasks == {("a", "mail"): 5, ("b", "mail"): 4, ("a", "pay"): 1}
    assert (both.running, both.is_whole) == (2, True)
    assert not (both + TaskGroups(is_whole=False)).is_whole


@pytest.mark.parametrize(("total", "seconds"), [(8, 14.0), (80, 140.0), (0, 14.0)])
def test_work_is_that_of_all_tasks_though_a_part_was_read(total: int, seconds: float) -> None:
    work = GROUPS.work(total, FLOWS, [])
    assert work.seconds == pytest.approx(seconds)
    assert work.unknown_types == ("pay",)
    assert (work.slots, work.least_s) == (0, None)


@pytest.mark.parametrize(
    ("parts", "slots"),
    [
        ({"types": ["*"]}, 4),
        ({"types": ["pay"], "queues": ["a", "c"]}, 4),
        ({"types": ["pay"], "queues": ["b"]}, 0),
        ({"types": ["other"]}, 0),
        ({"types": ["*"], "request": WorkerRequest.QUIET}, 0),
        ({"types": ["*"], "state": Liveness.EXPIRED}, 0),
    ],
)
def test_slots_are_those_of_live_workers_that_serve_one_of_the_groups(
    parts: dict[str, Any], slots: int
) -> None:
    work = GROUPS.work(8, FLOWS, [worker(slots=4, **parts)])
    assert work.slots == slots
    assert work.least_s == (14.0 / 4 if slots else None)


def test_more_slots_than_tasks_help_nobody() -> None:
    assert GROUPS.work(8, FLOWS, [worker(slots=1_000)]).least_s == 14.0 / 8


def test_no_tasks_are_no_work() -> None:
    work = TaskGroups().work(0, FLOWS, [worker()])
    assert (work.seconds, work.slots, work.unknown_types) == (0.0, 0, ())
