"""Checks what can keep a waiting task whatever else waits: its row in `dispatch`, queue, times, workers."""

from collections.abc import Mapping
from datetime import timedelta
from typing import assert_never

from taskmill.domain.blockers import Blocker, BlockerName, DelayKind, a_few, holds, passed, when
from taskmill.domain.explain_running import error_line
from taskmill.domain.explain_snapshot import ExplainSnapshot, OpenLease
from taskmill.domain.lifecycle import EventType, Reason
from taskmill.domain.system import BrokerPresence

_MOST_WORKERS = 20


def not_enqueued(c: ExplainSnapshot) -> Blocker:
    """A waiting task has a row in `dispatch`; without one it was damaged from outside."""
    if c.is_enqueued:
        return passed(BlockerName.NOT_ENQUEUED, "It is in the queue.")
    return holds(
        BlockerName.NOT_ENQUEUED,
        "It is new, but has no row in `dispatch`: no worker can find it.",
        todo="Somebody changed the tables by hand. `taskmill verify` says what is wrong and what to do.",
    )


def queue_paused(c: ExplainSnapshot) -> Blocker:
    """A paused queue hands out nothing."""
    facts = {"queue": c.queue, "paused_at": c.queue_paused_at}
    if c.queue_paused_at is None:
        return passed(BlockerName.QUEUE_PAUSED, f"Queue {c.queue} is open.", facts)
    sentence = f"Queue {c.queue} has been paused since {when(c.queue_paused_at, c.now)}."
    return holds(
        BlockerName.QUEUE_PAUSED, sentence, facts, todo=f"`taskmill queue resume {c.queue}`"
    )


def not_due(c: ExplainSnapshot) -> Blocker:
    """Nothing runs before its time."""
    due_in = c.run_at - c.now
    facts: dict[str, object] = {"run_at": c.run_at, "due_in_s": due_in.total_seconds()}
    if due_in <= timedelta(0):
        return passed(BlockerName.NOT_DUE, f"It has been due since {when(c.run_at, c.now)}.", facts)
    kind, reason = _delay_kind(c), c.last.reason if c.last else None
    facts |= {
        "delay": kind,
        "reason": reason,
        "attempt": c.attempt,
        "max_attempts": c.max_attempts,
    }
    sentence, todo = _delay_texts(c, kind, reason)
    return holds(BlockerName.NOT_DUE, sentence, facts, todo=todo)


def _delay_kind(c: ExplainSnapshot) -> DelayKind:
    kinds = {
        EventType.RETRY_SCHEDULED: DelayKind.BACKOFF,
        EventType.HANDED_BACK: DelayKind.HANDED_BACK,
        # One that has failed is still to be retried.
        EventType.RESCHEDULED: DelayKind.BACKOFF if c.attempt else DelayKind.SCHEDULED,
    }
    return kinds.get(c.last.event_type, DelayKind.SCHEDULED) if c.last else DelayKind.SCHEDULED


def _delay_texts(c: ExplainSnapshot, kind: DelayKind, reason: str | None) -> tuple[str, str]:
    due = when(c.run_at, c.now)
    now = f"`taskmill task reschedule {c.task_id} --now` would run it now"
    otherwise = f"{now}, `taskmill task cancel {c.task_id}` would end it."
    match kind:
        case DelayKind.SCHEDULED:
            return f"It is scheduled for {due}.", f"Wait. {otherwise}"
        case DelayKind.BACKOFF:
            failed = f"Attempt {c.attempt} of {c.max_attempts} failed: {error_line(c.error)}."
            return f"{failed} The next is due at {due}.", f"Wait, or fix the cause. {otherwise}"
        case DelayKind.HANDED_BACK:
            sentence = f"Its worker handed it back ({reason}); it is due again at {due}."
            if reason == Reason.NO_HANDLER:
                return sentence, f"Run a worker that has a handler for type {c.type}."
            return sentence, f"Wait: no attempt was spent. {now}."
        case _:
            assert_never(kind)


def expired(c: ExplainSnapshot) -> Blocker:
    """What has not started by its `expires_at` fails."""
    if c.expires_at is None:
        return passed(BlockerName.EXPIRED, "It does not expire.")
    left = c.expires_at - c.now
    facts = {"expires_at": c.expires_at, "expires_in_s": left.total_seconds()}
    at = when(c.expires_at, c.now)
    if left > timedelta(0):
        return passed(BlockerName.EXPIRED, f"It fails at {at} unless it starts before.", facts)
    sentence = f"It expired at {at}: no worker takes it, and maintenance fails it."
    return holds(BlockerName.EXPIRED, sentence, facts, todo="Nothing: that takes a second.")


def no_worker(c: ExplainSnapshot) -> Blocker:
    """A task waits for a live worker that serves its queue and its type."""
    alive, serving = c.alive, c.serving
    for_type = [worker for worker in alive if worker.takes_type(c.type)]
    facts = {
        "queue": c.queue,
        "type": c.type,
        "workers_alive": len(alive),
        "workers_for_queue": sum(worker.takes_queue(c.queue) for worker in alive),
        "workers_for_type": len(for_type),
        "workers_for_both": len(c.fitting),
        "workers_quiet": sum(worker.is_quiet for worker in alive),
        "workers": [_worker_facts(worker, c.type) for worker in (serving or alive)[:_MOST_WORKERS]],
    }
    if serving:
        names = a_few([worker.worker for worker in serving])
        sentence = f"{_alive_clause(serving)} for queue {c.queue} and type {c.type}: {names}."
        return passed(BlockerName.NO_WORKER, sentence, facts)
    sentence, todo = _missing_worker(c, alive, for_type)
    return holds(BlockerName.NO_WORKER, sentence, facts, todo=todo)


def _missing_worker(
    c: ExplainSnapshot, alive: list[OpenLease], for_type: list[OpenLease]
) -> tuple[str, str]:
    if not alive:
        return "No worker lives.", "Start one: `taskmill run worker`."
    if c.fitting:
        names = a_few([worker.worker for worker in c.fitting])
        sentence = f"Every worker for queue {c.queue} and type {c.type} was asked to take no more tasks: {names}."
        return sentence, "Have one work again: `taskmill worker resume NAME`; or start another."
    if for_type:
        queues = sorted({queue for worker in for_type for queue in worker.queues})
        sentence = (
            f"No live worker for type {c.type} serves queue {c.queue}; they serve {a_few(queues)}."
        )
        return sentence, f"Start a worker for the queue: TASKMILL_WORKER__QUEUES={c.queue}."
    types = sorted({one for worker in alive for one in worker.named_types(c.type)})
    run = a_few(types) or "others"
    sentence = f"{_alive_clause(alive)}, but none runs type {c.type}; they run {run}."
    return sentence, (
        "Start a worker that has a handler for it; or have the type emulated meanwhile: "
        f"TASKMILL_EMULATION__TYPES={c.type}."
    )


def _alive_clause(workers: list[OpenLease]) -> str:
    return "1 worker lives" if len(workers) == 1 else f"{len(workers):,} workers live"


def _worker_facts(worker: OpenLease, task_type: str) -> Mapping[str, object]:
    return {
        "name": worker.worker,
        "queues": sorted(worker.queues),
        "types": sorted(worker.named_types(task_type)),
        "slots": worker.slots,
        "heartbeat_at": worker.renewed_at,
    }


def broker_away(c: ExplainSnapshot) -> Blocker:
    """Only the policy `rabbitmq` makes workers wait for a broker."""
    broker = c.broker
    facts = {"state": broker.presence, "policy": broker.policy, "trouble": broker.trouble}
    match broker.presence:
        case BrokerPresence.NONE:
            return passed(BlockerName.BROKER_AWAY, "There is no broker to wait for.", facts)
        case BrokerPresence.OK:
            return passed(BlockerName.BROKER_AWAY, "The broker is reached.", facts)
        case BrokerPresence.AWAY if broker.policy != "rabbitmq":
            sentence = "The broker is away; meanwhile workers claim from PostgreSQL."
            return passed(BlockerName.BROKER_AWAY, sentence, facts)
        case BrokerPresence.AWAY:
            sentence = f"The broker is away ({broker.trouble}), and workers wait for it."
            todo = "Bring the broker back, or run the workers with TASKMILL_BROKER=auto."
            return holds(BlockerName.BROKER_AWAY, sentence, facts, todo=todo)
        case _:
            assert_never(broker.presence)
