"""The bytes of an explanation are those of its model."""

import json
from datetime import timedelta

import asyncpg.pgproto.pgproto as driver

from taskmill.domain.blockers import BlockerName, EndKind, holds, not_reached, passed
from taskmill.domain.explanation import Explanation
from taskmill.domain.lifecycle import Status
from taskmill.wire.explanations import ExplanationView, explanation_json
from tests.unit.wire.builders import NOON, TASK_ID

EXPLANATION = Explanation(
    task_id=TASK_ID,
    status=Status.NEW,
    at=NOON,
    blockers=(
        passed(BlockerName.FINISHED, "It has not ended.", {"end": EndKind.SUCCEEDED}),
        holds(
            BlockerName.NO_WORKER,
            "No worker lives.",
            {
                "lease_id": driver.UUID(str(TASK_ID)),
                "at": NOON + timedelta(microseconds=1),
                "workers": [{"name": "w", "types": ["a"], "heartbeat_at": NOON}],
                "none": None,
                "share": 0.5,
            },
            todo="Start one.",
        ),
        holds(BlockerName.BROKER_AWAY, "It is away.", todo="Bring it back."),
        not_reached(BlockerName.NOT_CLAIMED),
    ),
)


def test_an_explanation_is_its_view_to_the_byte() -> None:
    shown = explanation_json(EXPLANATION)
    assert ExplanationView.model_validate_json(shown).model_dump_json().encode() == shown


def test_the_first_blocker_that_holds_is_the_summary() -> None:
    shown = json.loads(explanation_json(EXPLANATION))
    assert (shown["blocker"], shown["summary"], shown["todo"]) == (
        "no_worker",
        "No worker lives.",
        "Start one.",
    )


def test_times_and_ids_are_formatted_however_deep_they_are() -> None:
    facts = json.loads(explanation_json(EXPLANATION))["blockers"][1]["facts"]
    assert facts == {
        "lease_id": str(TASK_ID),
        "at": "2030-01-31T12:00:00.000001Z",
        "workers": [{"name": "w", "types": ["a"], "heartbeat_at": "2030-01-31T12:00:00.000000Z"}],
        "none": None,
        "share": 0.5,
    }
