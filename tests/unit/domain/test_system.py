"""What can be done to all tasks that a filter admits."""

from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.domain.system import Sweep


def test_what_is_under_way_can_be_cancelled_and_what_ended_run_again() -> None:
    assert Sweep.CANCEL.statuses == frozenset(Status) - TERMINAL
    assert Sweep.RETRY.statuses == TERMINAL
