"""Which blocker holds a waiting task; sentences are checked where they carry a fact."""

from dataclasses import replace
from typing import Any

import pytest

from taskmill.domain.blockers import BlockerName, BlockerState
from taskmill.domain.explain_snapshot import LastEvent
from taskmill.domain.explanation import explain, needs_position
from taskmill.domain.lifecycle import EventType, Reason, Status
from taskmill.domain.system import BrokerPresence, BrokerState
from tests.support.builders import ERROR
from tests.support.explain_snapshots import (
    NOON,
    a_last,
    a_worker,
    blocker_of,
    ended,
    holding,
    in_progress,
    s,
    unreached,
    waiting,
)


def test_a_task_that_nothing_keeps_is_claimed_next() -> None:
    c = waiting()
    assert holding(c) == [BlockerName.NOT_CLAIMED]
    assert unreached(c) == [BlockerName.MAINTENANCE_AWAY]
    assert explain(c).holding.facts == {"ready_at": NOON - s(20), "ready_for_s": 20.0}
    assert explain(waiting(last=None)).holding.facts["ready_for_s"] == 30.0


BLOCKERS: list[tuple[dict[str, Any], BlockerName]] = [
    ({"is_enqueued": False}, BlockerName.NOT_ENQUEUED),
    ({"queue_paused_at": NOON - s(200)}, BlockerName.QUEUE_PAUSED),
    ({"run_at": NOON + s(1)}, BlockerName.NOT_DUE),
    ({"expires_at": NOON}, BlockerName.EXPIRED),
    ({"leases": ()}, BlockerName.NO_WORKER),
    ({"leases": (a_worker(expires_at=NOON),)}, BlockerName.NO_WORKER),
    (
        {"broker": BrokerState(presence=BrokerPresence.AWAY, policy="rabbitmq", trouble="refused")},
        BlockerName.BROKER_AWAY,
    ),
]


@pytest.mark.parametrize(("parts", "name"), BLOCKERS)
def test_a_blocker_holds_alone_and_nothing_after_it_is_reached(
    parts: dict[str, Any], name: BlockerName
) -> None:
    c = waiting(**parts)
    assert holding(c) == [name]
    assert not needs_position(c)
    behind = [BlockerName.NO_FREE_SLOT, BlockerName.TASKS_AHEAD, BlockerName.NOT_CLAIMED]
    assert unreached(c)[:3] == behind


def test_all_blockers_that_hold_are_reported_the_first_one_first() -> None:
    all_parts: dict[str, Any] = {}
    for parts, _ in BLOCKERS:
        all_parts |= parts
    assert holding(waiting(**all_parts)) == list(dict.fromkeys(name for _, name in BLOCKERS))


def test_only_a_waiting_task_without_other_blockers_needs_its_position() -> None:
    assert needs_position(waiting(position=None))
    assert not needs_position(in_progress())
    assert not needs_position(ended(Status.FAILED))


@pytest.mark.parametrize(
    ("last", "delay", "words", "todo"),
    [
        (a_last(EventType.CREATED), "scheduled", "scheduled for 2030-01-31T12:03:20Z", "Wait."),
        (None, "scheduled", "(in 3m 20s)", "Wait."),
        (
            a_last(EventType.RETRY_SCHEDULED, Reason.ERROR),
            "backoff",
            "Attempt 1 of 3 failed: ValueError: no such customer. The next is due",
            "fix the cause",
        ),
        (
            a_last(EventType.RESCHEDULED, Reason.OPERATOR),
            "backoff",
            "Attempt 1 of 3 failed: ValueError: no such customer",
            "fix the cause",
        ),
        (
            a_last(EventType.HANDED_BACK, Reason.NO_HANDLER),
            "handed_back",
            "handed it back (no_handler)",
            "handler for type report",
        ),
        (
            a_last(EventType.HANDED_BACK, Reason.WORKER_STOPPED),
            "handed_back",
            "(worker_stopped)",
            "no attempt was spent",
        ),
    ],
)
def test_each_kind_of_delay_is_recognised(
    last: LastEvent | None, delay: str, words: str, todo: str
) -> None:
    c = waiting(run_at=NOON + s(200), last=last, attempt=1, error=ERROR)
    blocker = explain(c).holding
    assert (blocker.facts["delay"], blocker.facts["due_in_s"]) == (delay, 200.0)
    assert words in blocker.sentence
    assert todo in (blocker.todo or "")


def test_an_expiry_is_shown_before_it_is_reached() -> None:
    blocker = blocker_of(explain(waiting(expires_at=NOON + s(30))), BlockerName.EXPIRED)
    assert (blocker.state, blocker.facts["expires_in_s"]) == (BlockerState.PASSED, 30.0)
    assert "(in 30 s)" in blocker.sentence


def test_an_expired_task_that_is_not_failed_means_that_maintenance_is_away() -> None:
    assert holding(waiting(expires_at=NOON - s(5))) == [BlockerName.EXPIRED]
    assert holding(waiting(expires_at=NOON - s(50))) == [
        BlockerName.EXPIRED,
        BlockerName.MAINTENANCE_AWAY,
    ]


def test_a_missing_type_is_reported_with_the_types_that_workers_run() -> None:
    others = (a_worker(types=frozenset({"a", "b"})), a_worker(types=frozenset({"b", "c"})))
    blocker = explain(waiting(leases=others)).holding
    assert blocker.sentence == "2 workers live, but none runs type report; they run a, b, c."
    assert "TASKMILL_EMULATION__TYPES=report" in (blocker.todo or "")
    assert (blocker.facts["workers_alive"], blocker.facts["workers_for_type"]) == (2, 0)
    assert blocker.facts["workers"] == [
        {
            "name": "w1",
            "queues": [],
            "types": types,
            "slots": 4,
            "heartbeat_at": NOON - s(2),
        }
        for types in (["a", "b"], ["b", "c"])
    ]


def test_a_queue_that_no_worker_of_the_type_serves_is_reported() -> None:
    for_others = a_worker(queues=frozenset({"reports"}))
    wrong_type = a_worker(types=frozenset({"x"}), queues=frozenset({"mail"}))
    blocker = explain(waiting(leases=(for_others, wrong_type))).holding
    assert "serves queue mail; they serve reports" in blocker.sentence
    assert "TASKMILL_WORKER__QUEUES=mail" in (blocker.todo or "")
    assert (blocker.facts["workers_for_queue"], blocker.facts["workers_for_both"]) == (1, 0)


def test_a_worker_of_every_type_serves_it_and_every_type_is_its_rival() -> None:
    every = a_worker(types=frozenset({"*"}), queues=frozenset({"mail"}))
    c = waiting(leases=(every,))
    assert blocker_of(explain(c), BlockerName.NO_WORKER).state is BlockerState.PASSED
    assert c.rival_types is None
    two = (a_worker(), a_worker(types=frozenset({"report", "x"})))
    assert waiting(leases=two).rival_types == frozenset({"report", "x"})


def test_workers_claim_from_postgresql_while_the_broker_is_away_unless_the_policy_forbids() -> None:
    away = BrokerState(presence=BrokerPresence.AWAY, policy="auto", trouble="refused")
    c = waiting(broker=away)
    assert holding(c) == [BlockerName.NOT_CLAIMED]
    strict = replace(away, policy="rabbitmq")
    assert "(refused)" in explain(waiting(broker=strict)).holding.sentence
