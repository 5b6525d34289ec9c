"""All that explanations say: `explanations.txt` has every sentence, advice and fact, each where it is first said.

A scenario begins with the states of all blockers in their order: ! holds, - passed, ? not reached.
Add a scenario here and read what the failing test prints; the file is what people and programs get to see.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

from taskmill.domain.blockers import Blocker, BlockerState
from taskmill.domain.explain_snapshot import ExplainSnapshot, QueuePosition
from taskmill.domain.explanation import explain
from taskmill.domain.lifecycle import ErrorInfo, EventType, Reason, Status
from taskmill.domain.system import BrokerPresence, BrokerState
from tests.support.explain_snapshots import (
    BROKER,
    NOON,
    WORKER_ID,
    a_last,
    a_lease,
    a_worker,
    ended,
    in_progress,
    s,
    waiting,
)

ERROR = ErrorInfo(type="ValueError", message="no such\ncustomer")
FAILED = Status.FAILED
AWAY = BrokerState(presence=BrokerPresence.AWAY, policy="auto", trouble="refused")
SILENT = a_lease(renewed_at=NOON - s(100), expires_at=NOON - s(85))
OTHERS = tuple(a_worker(id=UUID(int=n), worker=f"w{n}") for n in range(1, 22))


def at_position(position: QueuePosition | None, **parts: object) -> ExplainSnapshot:
    return waiting(position=position, **parts)


SCENARIOS: Final[dict[str, ExplainSnapshot]] = {
    "succeeded": ended(Status.SUCCEEDED, last=a_last(EventType.SUCCEEDED)),
    "cancelled": ended(Status.CANCELLED, last=a_last(EventType.CANCELLED, Reason.CANCELLED)),
    "failed in its last attempt": ended(
        FAILED, last=a_last(EventType.FAILED, Reason.ERROR), error=ERROR
    ),
    "failed for good": ended(FAILED, last=a_last(EventType.FAILED, Reason.PERMANENT), error=ERROR),
    "was refused": ended(
        FAILED, last=a_last(EventType.FAILED, Reason.PAYLOAD_REFUSED), error=ERROR
    ),
    "was lost too often": ended(FAILED, last=a_last(EventType.FAILED, Reason.WORKER_LOST)),
    "expired": ended(FAILED, last=a_last(EventType.EXPIRED, Reason.EXPIRED)),
    "failed for a reason of later versions": ended(FAILED, last=a_last(EventType.FAILED, "sneeze")),
    "failed without a reason": ended(FAILED, last=a_last(EventType.FAILED)),
    "failed without a trace": ended(FAILED, last=None, finished_at=None),
    "runs": in_progress(),
    "runs with a timeout and is to cancel": in_progress(timeout=s(60), cancel_requested=True),
    "runs though its row is damaged": in_progress(
        started_at=None, last=None, timeout=s(60), cancel_requested=True
    ),
    "has a worker that fell silent": in_progress(
        lease=a_lease(expires_at=NOON - s(1)), expires_at=NOON - s(60)
    ),
    "should be rescued now": in_progress(lease=a_lease(expires_at=NOON - s(2)), losses=3),
    "should have been rescued and is to cancel": in_progress(
        lease=a_lease(expires_at=NOON - s(5)), losses=4, cancel_requested=True
    ),
    "has a closed lease": in_progress(lease=a_lease(closed_at=NOON, close_reason="expired")),
    "has a lease that was closed for no reason": in_progress(lease=a_lease(closed_at=NOON)),
    "has no lease": in_progress(lease=None),
    "is not rescued": in_progress(
        lease=SILENT,
        leases=(
            a_worker(renewed_at=NOON - s(101), expires_at=NOON - s(85)),
            a_worker(expires_at=NOON),
            a_worker(),
        ),
    ),
    "is not rescued from a closed lease": in_progress(
        lease=a_lease(renewed_at=NOON - s(5), expires_at=NOON + s(10), closed_at=NOON - s(60))
    ),
    "waits for nothing": waiting(),
    "has no event": waiting(last=None),
    "is due now": waiting(run_at=NOON),
    "is not in dispatch": waiting(is_enqueued=False),
    "waits in a paused queue": waiting(queue_paused_at=NOON - s(200)),
    "is scheduled": waiting(run_at=NOON + s(200)),
    "is scheduled and has no event": waiting(run_at=NOON + s(200), last=None),
    "is to be retried": waiting(
        run_at=NOON + s(200),
        last=a_last(EventType.RETRY_SCHEDULED, Reason.ERROR),
        attempt=1,
        error=ERROR,
    ),
    "was handed back": waiting(
        run_at=NOON + s(200), last=a_last(EventType.HANDED_BACK, Reason.WORKER_STOPPED)
    ),
    "was handed back for want of a handler": waiting(
        run_at=NOON + s(200), last=a_last(EventType.HANDED_BACK, Reason.NO_HANDLER)
    ),
    "will expire": waiting(expires_at=NOON + s(30)),
    "expires": waiting(expires_at=NOON - s(10)),
    "should have expired": waiting(expires_at=NOON - s(11), leases=()),
    "has two workers": waiting(leases=(a_worker(), a_worker(worker="w2", is_quiet=True))),
    "has many workers": waiting(leases=OTHERS),
    "has quiet workers only": waiting(
        leases=(a_worker(is_quiet=True), a_worker(queues=frozenset({"x"})))
    ),
    "has workers for other queues": waiting(
        leases=(
            a_worker(queues=frozenset({"b", "a"})),
            a_worker(types=frozenset({"x"}), queues=frozenset({"mail"})),
        )
    ),
    "has workers for other types": waiting(
        leases=(
            a_worker(types=frozenset({"y", "x"}), is_quiet=True),
            a_worker(types=frozenset({"z"}), queues=frozenset({"a"})),
        )
    ),
    "has one worker for another type": waiting(leases=(a_worker(types=frozenset({"x"})),)),
    "has a broker": waiting(broker=BROKER),
    "has a broker that is away": waiting(broker=AWAY),
    "waits for the broker": waiting(
        broker=BrokerState(presence=BrokerPresence.AWAY, policy="rabbitmq", trouble="refused")
    ),
    "waits for a slot": at_position(
        QueuePosition(running={WORKER_ID: 5}, ahead=2, per_second=1.23456)
    ),
    "waits for a slot of several workers": at_position(
        QueuePosition(running={UUID(int=1): 4, UUID(int=2): 3}, ahead=1, per_second=3),
        leases=OTHERS[:2],
    ),
    "waits for a slot as the last heartbeats say": at_position(
        QueuePosition(ahead=0), leases=(a_worker(running=4),)
    ),
    "goes after others that have slots": at_position(
        QueuePosition(running={}, ahead=3, per_second=None)
    ),
    "goes after others": at_position(QueuePosition(running={}, ahead=4, per_second=0.3)),
    "goes after very many": at_position(
        QueuePosition(running={}, ahead=10_000, is_more=True, per_second=100)
    ),
    "goes after others that nobody claims": at_position(QueuePosition(running={}, ahead=5)),
    "goes after others at an unknown pace": at_position(
        QueuePosition(running={}, ahead=5, per_second=None)
    ),
    "goes after more than could be counted": at_position(
        QueuePosition(running={}, ahead=None, per_second=3)
    ),
    "goes after at least none": at_position(QueuePosition(running={}, ahead=0, is_more=True)),
    "goes at an unknown position": at_position(None),
}


_MARKS: Final = {
    BlockerState.HOLDS: "!",
    BlockerState.PASSED: "-",
    BlockerState.NOT_REACHED: "?",
}


def test_explanations_say_what_the_file_has() -> None:
    texts = Path(__file__).with_name("explanations.txt").read_text(encoding="utf-8")
    assert "\n".join(_texts()) == texts.rstrip()


def _texts() -> Iterator[str]:
    """Yield each scenario with those of its blockers that look like in none before it."""
    seen = set()
    for name, snapshot in SCENARIOS.items():
        blockers = explain(snapshot).blockers
        yield f"# A task that {name}: {''.join(_MARKS[blocker.state] for blocker in blockers)}"
        for text in map(_text, blockers):
            if text not in seen:
                seen.add(text)
                yield text


def _text(blocker: Blocker) -> str:
    todo = [f"    -> {blocker.todo}"] if blocker.todo else []
    facts = [f"    {json.dumps(dict(blocker.facts), default=str)}"] if blocker.facts else []
    return "\n".join([f"{_MARKS[blocker.state]} {blocker.name}: {blocker.sentence}", *todo, *facts])
