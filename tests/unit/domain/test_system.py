"""Sweeps."""

from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.domain.system import Sweep


def test_unfinished_tasks_can_be_cancelled_and_finished_ones_retried() -> None:
    assert Sweep.CANCEL.statuses == frozenset(Status) - TERMINAL
    assert Sweep.RETRY.statuses == TERMINAL
