"""Sweeps, and what processes report of themselves."""

import pytest

from taskmill.domain.lifecycle import TERMINAL, Status
from taskmill.domain.system import (
    BrokerPresence,
    BrokerState,
    IntakePresence,
    IntakeState,
    Readiness,
    Sweep,
)


def test_unfinished_tasks_can_be_cancelled_and_finished_ones_retried() -> None:
    assert Sweep.CANCEL.statuses == frozenset(Status) - TERMINAL
    assert Sweep.RETRY.statuses == TERMINAL


def test_unless_requested_otherwise_only_what_failed_is_retried() -> None:
    assert Sweep.CANCEL.usual == Sweep.CANCEL.statuses
    assert Sweep.RETRY.usual == {Status.FAILED}


def test_the_process_is_ready_when_every_part_is_well() -> None:
    away = BrokerState(presence=BrokerPresence.AWAY, policy="auto", trouble="nobody answers")
    assert Readiness(parts={"database": None, "schema": None}, broker=away).is_ready
    missing: dict[str, str | None] = {"database": None, "schema": "0001 is missing"}
    assert not Readiness(parts=missing, broker=away).is_ready


def test_the_broker_is_described_in_words() -> None:
    def described(presence: BrokerPresence, trouble: str | None = None) -> str:
        return str(BrokerState(presence=presence, policy="auto", trouble=trouble))

    assert described(BrokerPresence.OK) == "ok"
    assert described(BrokerPresence.AWAY, "nobody answers") == "away: nobody answers"
    assert described(BrokerPresence.NONE) == "none (claims come from PostgreSQL)"
    starting = BrokerState(presence=BrokerPresence.AWAY, policy="auto", is_starting=True)
    assert str(starting) == "starting"


@pytest.mark.parametrize(
    ("presence", "words"),
    [
        (IntakePresence.OK, "ok"),
        (IntakePresence.STARTING, "starting"),
        (IntakePresence.AWAY, "away: refused"),
        (IntakePresence.NONE, "none (there is no broker)"),
    ],
)
def test_the_intake_is_described_in_words(presence: IntakePresence, words: str) -> None:
    assert str(IntakeState(presence=presence, trouble="refused")) == words
