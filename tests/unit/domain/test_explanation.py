"""Which blocker holds, for every kind of facts; sentences are checked where they carry a fact."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.domain.blockers import (
    Blocker,
    BlockerName,
    BlockerState,
    EndKind,
    a_few,
    counted,
    rate,
    span,
    when,
)
from taskmill.domain.explain_snapshot import (
    ExplainSnapshot,
    HeldLease,
    LastEvent,
    OpenLease,
    QueuePosition,
)
from taskmill.domain.explanation import Explanation, explain, needs_position
from taskmill.domain.lifecycle import ErrorInfo, EventType, Reason, Status
from taskmill.domain.system import BrokerPresence, BrokerState

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)
TASK_ID = UUID(int=7)
WORKER_ID = UUID(int=1)
NO_BROKER = BrokerState(presence=BrokerPresence.NONE, policy="postgres")
BROKER = BrokerState(presence=BrokerPresence.OK, policy="auto")
ERROR = ErrorInfo(type="ValueError", message="no such customer")
IDLE = QueuePosition(running={}, ahead=0)


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def a_worker(**parts: Any) -> OpenLease:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "id": WORKER_ID,
        "worker": "w1",
        "queues": frozenset(),
        "types": frozenset({"report"}),
        "slots": 4,
        "running": 1,
        "renewed_at": NOON - s(2),
        "expires_at": NOON + s(13),
    }
    return OpenLease(**{**given, **parts})


def a_last(event_type: EventType, reason: str | None = None) -> LastEvent:
    return LastEvent(at=NOON - s(20), event_type=event_type, reason=reason)


def waiting(**parts: Any) -> ExplainSnapshot:  # noqa: ANN401 - the fields
    """A task that nothing keeps."""
    given: dict[str, Any] = {
        "now": NOON,
        "task_id": TASK_ID,
        "status": Status.NEW,
        "queue": "mail",
        "type": "report",
        "priority": 4,
        "run": 1,
        "attempt": 0,
        "max_attempts": 3,
        "losses": 0,
        "max_losses": 3,
        "claim_no": 0,
        "cancel_requested": False,
        "run_at": NOON - s(30),
        "expires_at": None,
        "started_at": None,
        "finished_at": None,
        "timeout": None,
        "error": None,
        "lease_id": None,
        "lease": None,
        "last": a_last(EventType.CREATED),
        "is_enqueued": True,
        "released_at": None,
        "queue_paused_at": None,
        "leases": (a_worker(),),
        "broker": NO_BROKER,
        "hint_life": s(10),
        "position": IDLE,
    }
    return ExplainSnapshot(**{**given, **parts})


def a_lease(**parts: Any) -> HeldLease:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "worker": "w1",
        "renewed_at": NOON - s(2),
        "expires_at": NOON + s(13),
        "closed_at": None,
        "close_reason": None,
    }
    return HeldLease(**{**given, **parts})


def in_progress(**parts: Any) -> ExplainSnapshot:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "status": Status.IN_PROGRESS,
        "attempt": 1,
        "claim_no": 1,
        "started_at": NOON - s(5),
        "lease_id": WORKER_ID,
        "lease": a_lease(),
        "last": a_last(EventType.CLAIMED),
        "is_enqueued": False,
        "position": None,
    }
    return waiting(**{**given, **parts})


def ended(status: Status, **parts: Any) -> ExplainSnapshot:  # noqa: ANN401 - the fields
    given: dict[str, Any] = {
        "status": status,
        "attempt": 3,
        "finished_at": NOON - s(60),
        "is_enqueued": False,
        "position": None,
    }
    return waiting(**{**given, **parts})


def blocker_of(explanation: Explanation, name: BlockerName) -> Blocker:
    return next(blocker for blocker in explanation.blockers if blocker.name is name)


def holding(c: ExplainSnapshot) -> list[BlockerName]:
    return [blocker.name for blocker in explain(c).blockers if blocker.state is BlockerState.HOLDS]


def unreached(c: ExplainSnapshot) -> list[BlockerName]:
    return [
        blocker.name for blocker in explain(c).blockers if blocker.state is BlockerState.NOT_REACHED
    ]


def facts_of(c: ExplainSnapshot, name: BlockerName) -> Mapping[str, object]:
    return blocker_of(explain(c), name).facts


def test_every_blocker_is_reported_once_and_in_order() -> None:
    for c in (waiting(), in_progress(), ended(Status.FAILED)):
        found = explain(c)
        assert [blocker.name for blocker in found.blockers] == list(BlockerName)
        assert (found.task_id, found.status, found.at) == (TASK_ID, c.status, NOON)
        assert found.holding.todo
        assert all(blocker.sentence.endswith(".") for blocker in found.blockers)


@pytest.mark.parametrize(
    ("status", "last", "kind", "words"),
    [
        (Status.SUCCEEDED, a_last(EventType.SUCCEEDED), EndKind.SUCCEEDED, "in attempt 3 of 3"),
        (Status.CANCELLED, a_last(EventType.CANCELLED), EndKind.CANCELLED, "was cancelled"),
        (
            Status.FAILED,
            a_last(EventType.FAILED, Reason.ERROR),
            EndKind.ATTEMPTS_USED_UP,
            "attempt 3 of 3 was the last: ValueError: no such customer",
        ),
        (Status.FAILED, None, EndKind.ATTEMPTS_USED_UP, "was the last"),
        (
            Status.FAILED,
            a_last(EventType.FAILED, Reason.PERMANENT),
            EndKind.PERMANENT_FAILURE,
            "as its handler said",
        ),
        (
            Status.FAILED,
            a_last(EventType.FAILED, Reason.WORKER_LOST),
            EndKind.LOSSES_USED_UP,
            "no loss is left (3 of 3)",
        ),
        (
            Status.FAILED,
            a_last(EventType.EXPIRED, Reason.EXPIRED),
            EndKind.EXPIRED,
            "not started before its expires_at",
        ),
    ],
)
def test_each_kind_of_end_is_recognised(
    status: Status, last: LastEvent | None, kind: EndKind, words: str
) -> None:
    c = ended(status, last=last, error=ERROR, losses=3)
    assert holding(c) == [BlockerName.FINISHED]
    assert unreached(c) == list(BlockerName)[1:]
    blocker = explain(c).holding
    assert (blocker.facts["end"], blocker.facts["finished_at"]) == (kind, NOON - s(60))
    assert words in blocker.sentence
    assert f"`taskmill task retry {TASK_ID}`" in (blocker.todo or "")


def test_an_end_without_a_time_or_an_error_is_explained_nevertheless() -> None:
    blocker = explain(ended(Status.FAILED, finished_at=None, error=None)).holding
    assert "at an unknown time" in blocker.sentence
    assert "no error was recorded" in blocker.sentence


def test_a_long_error_is_cut_in_the_sentence_and_whole_in_the_facts() -> None:
    long = ErrorInfo(type="E", message="position\n" * 500)
    blocker = explain(ended(Status.FAILED, error=long)).holding
    assert len(blocker.sentence) < 400
    assert "\n" not in blocker.sentence
    assert blocker.facts["error_message"] == long.message


def test_a_task_runs_as_long_as_its_lease_holds() -> None:
    c = in_progress()
    assert holding(c) == [BlockerName.RUNNING]
    assert "w1 since 2030-01-31T11:59:55Z (5 s ago), attempt 1 of 3" in explain(c).holding.sentence
    assert explain(c).holding.facts["timeout_at"] is None
    assert BlockerName.LEASE_ENDED in unreached(c)


def test_a_running_task_shows_its_timeout_and_a_requested_cancel() -> None:
    c = in_progress(timeout=s(60), cancel_requested=True, last=a_last(EventType.CANCEL_REQUESTED))
    blocker = explain(c).holding
    assert blocker.facts["timeout_at"] == NOON + s(55)
    assert blocker.facts["cancel_requested_at"] == NOON - s(20)
    assert "(in 55 s). It was asked to stop." in blocker.sentence
    assert "about a second" in (blocker.todo or "")


def test_what_a_damaged_row_lacks_is_left_out() -> None:
    blocker = explain(in_progress(started_at=None, last=None, timeout=s(1))).holding
    assert "w1, attempt" in blocker.sentence
    assert blocker.facts["timeout_at"] is None


@pytest.mark.parametrize(
    ("lease", "liveness", "words"),
    [
        (a_lease(expires_at=NOON - s(1)), "expired", "fell silent"),
        (a_lease(expires_at=NOON), "expired", "fell silent"),
        (
            a_lease(closed_at=NOON, close_reason="expired"),
            "closed",
            "closed at 2030-01-31T12:00:00Z",
        ),
        (a_lease(closed_at=NOON), "closed", "(0.0 s ago)."),
        (None, "missing", "is gone"),
    ],
)
def test_a_task_whose_lease_ended_waits_for_its_rescue(
    lease: HeldLease | None, liveness: str, words: str
) -> None:
    c = in_progress(lease=lease, leases=())
    assert holding(c) == [BlockerName.LEASE_ENDED]
    blocker = explain(c).holding
    assert blocker.facts["lease"] == liveness
    assert words in blocker.sentence
    assert blocker_of(explain(c), BlockerName.RUNNING).state is BlockerState.PASSED
    assert blocker_of(explain(c), BlockerName.MAINTENANCE_AWAY).state is BlockerState.PASSED


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ({}, Status.NEW),
        ({"losses": 3}, Status.FAILED),
        ({"losses": 3, "cancel_requested": True}, Status.CANCELLED),
    ],
)
def test_the_next_status_of_a_lost_task_is_predicted(parts: dict[str, Any], status: Status) -> None:
    c = in_progress(lease=a_lease(expires_at=NOON - s(5)), **parts)
    blocker = explain(c).holding
    assert blocker.facts["next_status"] is status
    assert blocker.facts["rescue_at"] == NOON - s(3)
    assert "was to take the task back" in blocker.sentence


def test_a_rescue_that_does_not_come_means_that_maintenance_is_away() -> None:
    lease = a_lease(renewed_at=NOON - s(100), expires_at=NOON - s(85))
    open_lease = a_worker(renewed_at=lease.renewed_at, expires_at=lease.expires_at)
    c = in_progress(lease=lease, leases=(open_lease, a_worker(id=UUID(int=2))))
    assert holding(c) == [BlockerName.LEASE_ENDED, BlockerName.MAINTENANCE_AWAY]
    # The lease's end, its time to live, and ten seconds.
    assert facts_of(c, BlockerName.MAINTENANCE_AWAY) == {
        "overdue_since": NOON - s(60),
        "leases_to_close": 1,
    }
    assert "1 lease that ran out" in blocker_of(explain(c), BlockerName.MAINTENANCE_AWAY).sentence
    assert "`taskmill run maintenance`" in (explain(c).holding.todo or "")


def test_a_closed_lease_whose_task_was_not_taken_back_means_the_same() -> None:
    lease = a_lease(closed_at=NOON - s(60), close_reason="expired")
    c = in_progress(lease=lease)
    assert holding(c) == [BlockerName.LEASE_ENDED, BlockerName.MAINTENANCE_AWAY]
    assert "wait to be closed" not in blocker_of(explain(c), BlockerName.MAINTENANCE_AWAY).sentence


def test_other_leases_that_stay_open_show_it_before_the_task_s_own_is_late() -> None:
    silent = a_worker(renewed_at=NOON - s(100), expires_at=NOON - s(85))
    c = in_progress(lease=a_lease(expires_at=NOON - s(1)), leases=(silent,))
    assert holding(c) == [BlockerName.LEASE_ENDED, BlockerName.MAINTENANCE_AWAY]


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
    behind = [BlockerName.NO_FREE_SLOT, BlockerName.TASKS_AHEAD, BlockerName.NOT_RELEASED]
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
            "mend the cause",
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
    assert blocker_of(explain(c), BlockerName.NOT_RELEASED).state is BlockerState.PASSED
    strict = replace(away, policy="rabbitmq")
    assert "(refused)" in explain(waiting(broker=strict)).holding.sentence


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


def test_over_a_broker_a_task_has_to_be_released_before_it_is_claimed() -> None:
    unreleased = waiting(broker=BROKER)
    assert holding(unreleased) == [BlockerName.NOT_RELEASED]
    assert "`taskmill run relay`" in (explain(unreleased).holding.todo or "")
    ran_out = waiting(broker=BROKER, released_at=NOON - s(10))
    assert holding(ran_out) == [BlockerName.NOT_RELEASED]
    assert "ran out at 2030-01-31T12:00:00Z" in explain(ran_out).holding.sentence
    out = waiting(broker=BROKER, released_at=NOON - s(3))
    assert holding(out) == [BlockerName.NOT_CLAIMED]
    assert facts_of(out, BlockerName.NOT_RELEASED) == {
        "released_at": NOON - s(3),
        "hint_valid_until": NOON + s(7),
    }


def test_a_release_is_reported_while_others_go_first_and_a_missing_one_is_not() -> None:
    behind = QueuePosition(running={}, ahead=9)
    out = waiting(broker=BROKER, released_at=NOON - s(3), position=behind)
    assert blocker_of(explain(out), BlockerName.NOT_RELEASED).state is BlockerState.PASSED
    assert BlockerName.NOT_RELEASED in unreached(waiting(broker=BROKER, position=behind))
    assert holding(out) == [BlockerName.TASKS_AHEAD]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (6.9, "6 s"),
        (60, "1m"),
        (200, "3m 20s"),
        (7200, "2h"),
        (187_200, "2d 4h"),
    ],
)
def test_lengths_of_time_have_two_units_at_most(seconds: float, words: str) -> None:
    assert span(s(seconds)) == words


def test_words_for_times_numbers_and_names() -> None:
    assert when(NOON + s(90), NOON) == "2030-01-31T12:01:30Z (in 1m 30s)"
    assert when(NOON, NOON) == "2030-01-31T12:00:00Z (0.0 s ago)"
    assert [counted(n, "task") for n in (0, 1, 12_345)] == ["0 tasks", "1 task", "12,345 tasks"]
    assert [rate(n) for n in (0.0234, 1, 9.96, 10, 12_345.6)] == [
        "0.023",
        "1",
        "10",
        "10",
        "12,346",
    ]
    assert a_few(["a", "b"]) == "a, b"
    assert a_few(list("abcdefg")) == "a, b, c, d, e and 2 more"
