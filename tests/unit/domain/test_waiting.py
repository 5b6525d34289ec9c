"""What was counted of waiting tasks, as operators are told."""

import pytest

from taskmill.domain.waiting import (
    NO_TASKS,
    CountedWaiting,
    WaitingCount,
    WaitingCounts,
    WaitingState,
)


def counted(
    *,
    all: int = 10,  # noqa: A002 - its name
    is_paused: bool = False,
    scheduled: int = 0,
    retrying: int = 0,
    later_are_more: bool = False,
    due: WaitingCount = NO_TASKS,
    unserved: WaitingCount = NO_TASKS,
) -> dict[str, str]:
    counts = CountedWaiting(
        all=all,
        is_paused=is_paused,
        scheduled=scheduled,
        retrying=retrying,
        later_are_more=later_are_more,
        due=due,
        unserved=unserved,
    ).counts()
    return {str(state): str(counts.of(state)) for state in WaitingState}


def states(ready: str, scheduled: str, retrying: str, held: str) -> dict[str, str]:
    return {"ready": ready, "scheduled": scheduled, "retrying": retrying, "held": held}


def test_due_tasks_are_ready_where_a_worker_serves_them_and_held_where_none_does() -> None:
    found = counted(scheduled=3, retrying=2, due=WaitingCount(5), unserved=WaitingCount(1))
    assert found == states("4", "3", "2", "1")


def test_all_due_tasks_of_a_paused_queue_are_held() -> None:
    found = counted(is_paused=True, scheduled=3, due=WaitingCount(7), unserved=WaitingCount(2))
    assert found == states("0", "3", "0", "7")


def test_beyond_the_bound_due_tasks_are_what_is_left_of_all() -> None:
    found = counted(all=200_000, scheduled=30, due=WaitingCount(10_000, are_more=True))
    assert found == states("199,970", "30", "0", "0")


def test_what_is_not_known_exactly_is_reported_as_more() -> None:
    found = counted(
        all=200_000,
        scheduled=9_000,
        retrying=1_001,
        later_are_more=True,
        due=WaitingCount(10_000, are_more=True),
    )
    assert found == states("10,000+", "9,000+", "1,001+", "0")
    found = counted(all=99_999, due=NO_TASKS, scheduled=10_001, later_are_more=True)
    assert found == states("0", "10,000+", "0", "0")


@pytest.mark.parametrize(
    ("unserved", "ready"), [(10_000, "0"), (9_997, "3+")], ids=["all of them", "not all"]
)
def test_many_that_no_worker_serves_are_at_least_so_many_and_none_of_them_is_ready(
    unserved: int, ready: str
) -> None:
    found = counted(
        all=50_000,
        due=WaitingCount(10_000, are_more=True),
        unserved=WaitingCount(unserved, are_more=True),
    )
    assert found == states(ready, "0", "0", f"{unserved:,}+")


def test_counts_of_queues_are_added_up() -> None:
    one = WaitingCounts(ready=WaitingCount(1), held=WaitingCount(5, are_more=True))
    other = WaitingCounts(ready=WaitingCount(2), scheduled=WaitingCount(3))
    total = WaitingCounts.total([one, other])
    assert [str(total.of(state)) for state in WaitingState] == ["3", "3", "0", "5+"]
    assert WaitingCounts.total([]) == WaitingCounts()
