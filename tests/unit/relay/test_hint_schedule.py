"""What is hinted after a scan, and what not again; without a database or a broker."""

from datetime import timedelta
from typing import Final

import pytest

from taskmill.relay.hint_schedule import HintSchedule, Kind
from taskmill.storage.bucket_scan import FirstWaiting
from taskmill.storage.claims import Bucket
from tests.support.clocks import ManualClock
from tests.support.histories import BEGIN

MAIL: Final = ("mail", "send")
FILES: Final = ("files", "scan")
NEVER: Final = float("inf")


class Scans:
    """A schedule, and scans for it."""

    def __init__(self) -> None:
        self.clock = ManualClock(BEGIN)
        self.schedule = HintSchedule(self.clock)
        self.later(1)

    def later(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    def hinted(self, *found: tuple[Kind, int, float], is_complete: bool = True) -> list[Kind]:
        """Scan buckets, each of a priority and due in so many seconds, and send all that is owed."""
        firsts = {
            Bucket(queue=queue, type=kind, priority=priority): FirstWaiting(
                run_at=BEGIN, due_in_s=due_in_s
            )
            for (queue, kind), priority, due_in_s in found
        }
        owed = self.schedule.scanned(firsts, is_complete=is_complete)
        for kind in owed:
            self.schedule.note_sent(kind)
        return owed


def test_what_is_due_is_hinted_once_for_a_queue_and_type_the_most_urgent_first() -> None:
    scans = Scans()
    found = [(FILES, 4, -1.0), (MAIL, 2, 0.0), (MAIL, 7, -3.0), (("a", "b"), 9, 0.001)]
    assert scans.hinted(*found) == [MAIL, FILES]


def test_the_most_urgent_is_hinted_first() -> None:
    assert Scans().hinted((FILES, 2, -3.0), (MAIL, 7, -1.0)) == [MAIL, FILES]


def test_what_becomes_due_just_now_is_due() -> None:
    assert Scans().hinted((MAIL, 4, 0.0)) == [MAIL]


def test_what_was_hinted_since_it_came_is_not_hinted_again_before_two_seconds() -> None:
    scans = Scans()
    assert scans.hinted((MAIL, 4, -0.5)) == [MAIL]
    scans.later(1.75)
    assert scans.hinted((MAIL, 4, -2.25)) == []
    scans.later(0.25)
    assert scans.hinted((MAIL, 4, -2.5)) == [MAIL]


def test_another_task_that_came_since_the_hint_is_hinted() -> None:
    scans = Scans()
    scans.hinted((MAIL, 4, -1.0))
    scans.later(0.5)
    assert scans.hinted((MAIL, 4, -0.5)) == [MAIL], "at the same time as the hint"
    scans.later(0.5)
    assert scans.hinted((MAIL, 4, -0.75), (MAIL, 2, -0.625)) == []
    assert scans.hinted((MAIL, 4, -0.25), (MAIL, 2, -0.875)) == [MAIL]
    scans.later(0.5)
    assert scans.hinted((MAIL, 4, -0.875), (MAIL, 2, -0.25)) == [MAIL]


@pytest.mark.parametrize("what", ["wake", "forget_sent"])
def test_all_that_is_due_is_hinted_again_after_a_wake_or_a_loss(what: str) -> None:
    scans = Scans()
    scans.hinted((MAIL, 4, -1.0))
    scans.later(0.5)
    getattr(scans.schedule, what)()
    scans.later(0.5)
    assert scans.hinted((MAIL, 4, -2.0)) == [MAIL]
    assert scans.hinted((MAIL, 4, -2.0)) == []


@pytest.mark.parametrize("is_complete", [True, False])
def test_hints_are_forgotten_when_a_scan_of_all_finds_nothing_due(*, is_complete: bool) -> None:
    scans = Scans()
    scans.hinted((MAIL, 4, -0.5), (FILES, 4, -0.5))
    scans.later(0.5)
    assert scans.hinted((FILES, 4, -1.0), is_complete=is_complete) == []
    assert scans.hinted((MAIL, 4, -1.0), (FILES, 4, -1.0)) == ([MAIL] if is_complete else [])


def test_when_the_next_task_is_due_is_known_without_what_is_due() -> None:
    scans = Scans()
    assert scans.schedule.next_due_in_s() == NEVER
    scans.hinted((MAIL, 4, 0.0), (MAIL, 5, 3.0), (FILES, 4, 2.0))
    assert scans.schedule.next_due_in_s() == 2.0
    scans.later(0.5)
    assert scans.schedule.next_due_in_s() == 1.5
    scans.later(1.5)
    assert scans.schedule.next_due_in_s() == 1.0
    scans.later(1.0)
    assert scans.schedule.next_due_in_s() == NEVER
    scans.hinted()
    assert scans.schedule.next_due_in_s() == NEVER
