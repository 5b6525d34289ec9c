"""When slots or more urgent tasks hold a task."""

import pytest

from taskmill.domain.blockers import BlockerName
from taskmill.domain.explain_snapshot import QueuePosition
from taskmill.domain.explanation import explain
from tests.support.explain_snapshots import (
    WORKER_ID,
    blocker_of,
    facts_of,
    holding,
    unreached,
    waiting,
)


def test_taken_slots_are_counted_or_taken_from_the_last_heartbeat() -> None:
    c = waiting(position=QueuePosition(running={WORKER_ID: 4}, ahead=0))
    assert holding(c) == [BlockerName.NO_FREE_SLOT]
    assert facts_of(c, BlockerName.NO_FREE_SLOT) == {"slots": 4, "running": 4, "is_counted": True}
    assert unreached(c) == [BlockerName.NOT_CLAIMED, BlockerName.MAINTENANCE_AWAY]
    assert explain(c).holding.sentence == "All 4 slots of 1 worker are taken."
    c = waiting(position=QueuePosition(running=None, ahead=0))
    assert facts_of(c, BlockerName.NO_FREE_SLOT)["running"] == 1
    assert holding(c) == [BlockerName.NOT_CLAIMED]


@pytest.mark.parametrize(
    ("position", "words", "about_s"),
    [
        (QueuePosition(running={}, ahead=4, per_second=2.0), "About 4 due tasks", 2.0),
        (
            QueuePosition(running={}, ahead=10_000, is_more=True, per_second=100),
            "at the present 100 a second that takes at least 1m 40s.",
            100.0,
        ),
        (QueuePosition(running={}, ahead=5), "none was claimed in the last minutes", None),
        (QueuePosition(running={}, ahead=None, per_second=3.0), "could be counted in time.", None),
    ],
)
def test_a_task_waits_for_more_urgent_ones(
    position: QueuePosition, words: str, about_s: float | None
) -> None:
    c = waiting(position=position)
    assert holding(c) == [BlockerName.TASKS_AHEAD]
    assert words in explain(c).holding.sentence
    facts = explain(c).holding.facts
    assert (facts["ahead"], facts["about_s"]) == (position.ahead, about_s)
    assert facts["free_slots"] == 4


def test_fewer_tasks_than_free_slots_do_not_keep_a_task_waiting() -> None:
    c = waiting(position=QueuePosition(running={}, ahead=3, per_second=1))
    assert holding(c) == [BlockerName.NOT_CLAIMED]
    assert "3 due tasks of queue mail go before it, and 4 slots" in (
        blocker_of(explain(c), BlockerName.TASKS_AHEAD).sentence
    )


def test_no_task_ahead_in_an_incomplete_count_is_reported_as_a_lower_bound() -> None:
    c = waiting(position=QueuePosition(running={}, ahead=0, is_more=True))
    assert holding(c) == [BlockerName.NOT_CLAIMED]
    sentence = blocker_of(explain(c), BlockerName.TASKS_AHEAD).sentence
    assert sentence.startswith("At least 0 due tasks of queue mail go before it")


def test_without_its_position_a_task_waits_behind_an_unknown_number() -> None:
    assert holding(waiting(position=None)) == [BlockerName.TASKS_AHEAD]
