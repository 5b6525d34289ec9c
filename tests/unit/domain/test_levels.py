"""How many tasks waited and ran, from what is there at the end and what happened before."""

from datetime import UTC, datetime, timedelta

import pytest

from taskmill.domain.activity import Durations, Flow
from taskmill.domain.levels import Level, WorkerSpan, WorkerSpans, levels
from taskmill.domain.lifecycle import EventType

BEGIN = datetime(2026, 11, 30, 10, tzinfo=UTC)


def at(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def flow(ended: int = 0, **counts: int) -> Flow:
    """What happened, with so many attempts that ended."""
    found = {EventType(name): count for name, count in counts.items()}
    return Flow(counts=found, running=Durations(buckets={3: ended} if ended else {}))


def test_each_level_follows_from_the_next_and_what_happened_between() -> None:
    steps = [
        (at(0), flow(created=10)),
        (at(1), flow(claimed=4, ended=3, succeeded=1, failed=1, retry_scheduled=1)),
        (at(2), flow(cancelled=2, expired=1, run_again=1)),
    ]
    assert levels(steps, until=at(3), waiting=5, running=1) == [
        Level(at=at(0), waiting=0, running=0),
        Level(at=at(1), waiting=10, running=0),
        Level(at=at(2), waiting=7, running=1),
        Level(at=at(3), waiting=5, running=1),
    ]


@pytest.mark.parametrize("name", ["retry_scheduled", "handed_back", "lost"])
def test_what_goes_back_to_wait_is_not_finished(name: str) -> None:
    steps = [(at(0), flow(claimed=1)), (at(1), flow(ended=1, **{name: 1}))]
    found = levels(steps, until=at(2), waiting=1, running=0)
    assert [(one.waiting, one.running) for one in found] == [(1, 0), (0, 1), (1, 0)]


def test_no_level_is_below_nothing() -> None:
    found = levels([(at(0), flow(created=5, claimed=3))], until=at(1), waiting=1, running=0)
    assert (found[0].waiting, found[0].running) == (0, 0)


def test_slots_are_those_of_who_was_alive_and_unknown_before_the_workers_are() -> None:
    span = WorkerSpan(
        name="w", version=None, slots=4, started_at=at(0), ended_at=at(10), is_lost=False
    )
    other = WorkerSpan(
        name="v", version=None, slots=3, started_at=at(5), ended_at=None, is_lost=False
    )
    spans = WorkerSpans(known_since=at(-5), items=[span, other])
    found = spans.slots_at([at(minute) for minute in (-6, -5, 0, 5, 9, 10, 60)])
    assert found == [None, 0, 4, 7, 7, 3, 3]
    assert WorkerSpans(known_since=at(0)).slots_at([at(-1), at(1)]) == [None, 0]
