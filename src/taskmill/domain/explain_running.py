"""Checks a task that no longer waits: it has ended, it runs, or its worker fell silent."""

from datetime import datetime, timedelta
from typing import assert_never

from taskmill.domain.blockers import (
    Blocker,
    BlockerName,
    EndKind,
    counted,
    holds,
    moment,
    passed,
    span,
    when,
)
from taskmill.domain.explain_snapshot import ExplainSnapshot, HeldLease
from taskmill.domain.lifecycle import ErrorInfo, Reason, Status
from taskmill.domain.system import Liveness

# Maintenance runs once a second unless set, first for leases and then for their tasks.
_RESCUE = timedelta(seconds=2)
# On top of a lease's time to live: after its own start, maintenance first sees the database answer for that long.
_MAINTENANCE_GRACE = timedelta(seconds=10)
_LONGEST_MESSAGE = 200


def finished(c: ExplainSnapshot) -> Blocker:
    """Explain how the task ended."""
    kind = end_kind(c)
    reason = c.last.reason if c.last else None
    facts = {
        "end": kind,
        "finished_at": c.finished_at,
        "reason": reason,
        "error_type": c.error.type if c.error else None,
        "error_message": c.error.message if c.error else None,
        "run": c.run,
        "attempt": c.attempt,
        "max_attempts": c.max_attempts,
        "losses": c.losses,
        "max_losses": c.max_losses,
        "can_retry": True,
    }
    return holds(BlockerName.FINISHED, _how_it_ended(c, kind), facts, todo=_after_the_end(c, kind))


def end_kind(c: ExplainSnapshot) -> EndKind:
    """Return the kind of end, by status and reason."""
    if c.status is Status.SUCCEEDED:
        return EndKind.SUCCEEDED
    if c.status is Status.CANCELLED:
        return EndKind.CANCELLED
    # Compared as text: a newer program may have written an unknown one.
    by_reason: dict[str | None, EndKind] = {
        str(Reason.PERMANENT): EndKind.PERMANENT_FAILURE,
        str(Reason.PAYLOAD_REFUSED): EndKind.PAYLOAD_REFUSED,
        str(Reason.EXPIRED): EndKind.EXPIRED,
        str(Reason.WORKER_LOST): EndKind.LOSSES_USED_UP,
    }
    reason = c.last.reason if c.last else None
    return by_reason.get(reason, EndKind.ATTEMPTS_USED_UP)


def _how_it_ended(c: ExplainSnapshot, kind: EndKind) -> str:  # noqa: PLR0911 - one for each end
    at = when(c.finished_at, c.now) if c.finished_at else "an unknown time"
    attempt = f"attempt {c.attempt} of {c.max_attempts}"
    match kind:
        case EndKind.SUCCEEDED:
            return f"It succeeded at {at}, in {attempt}."
        case EndKind.CANCELLED:
            return f"It was cancelled at {at}."
        case EndKind.EXPIRED:
            return f"It failed at {at}: it was not started before its expires_at."
        case EndKind.LOSSES_USED_UP:
            lost = f"its worker fell silent, and no loss is left ({c.losses} of {c.max_losses})"
            return f"It failed at {at}: {lost}."
        case EndKind.PERMANENT_FAILURE:
            return f"It failed at {at}, for good as its handler said: {error_line(c.error)}."
        case EndKind.PAYLOAD_REFUSED:
            return f"It failed at {at}, before it was run: {error_line(c.error)}."
        case EndKind.ATTEMPTS_USED_UP:
            return f"It failed at {at}, and {attempt} was the last: {error_line(c.error)}."
        case _:
            assert_never(kind)


def _after_the_end(c: ExplainSnapshot, kind: EndKind) -> str:
    again = f"`taskmill task retry {c.task_id}`"
    match kind:
        case EndKind.SUCCEEDED | EndKind.CANCELLED:
            return f"Nothing. {again} would run it again."
        case EndKind.EXPIRED:
            return f"{again} runs it after all, without an expires_at."
        case EndKind.LOSSES_USED_UP:
            return f"Find out what became of its workers, then run it again: {again}."
        case EndKind.PAYLOAD_REFUSED:
            return f"Create it anew with a payload that fits. {again} runs it as it is."
        case EndKind.PERMANENT_FAILURE | EndKind.ATTEMPTS_USED_UP:
            return f"Fix the cause, then run it again: {again}."
        case _:
            assert_never(kind)


def error_line(error: ErrorInfo | None) -> str:
    """Return an error as one line."""
    if error is None:
        return "no error was recorded"
    text = " ".join(f"{error.type}: {error.message}".split())
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def running(c: ExplainSnapshot) -> Blocker:
    """Explain who runs the task, as long as its lease holds."""
    lease = c.lease
    if lease is None or lease.liveness(c.now) is not Liveness.ALIVE:
        return passed(
            BlockerName.RUNNING, "It was claimed, but its worker's lease no longer holds."
        )
    timeout_at = c.started_at + c.timeout if c.started_at and c.timeout else None
    facts = {
        "worker": lease.worker,
        "lease_id": c.lease_id,
        "claim_no": c.claim_no,
        "started_at": c.started_at,
        "heartbeat_at": lease.renewed_at,
        "lease_expires_at": lease.expires_at,
        "attempt": c.attempt,
        "max_attempts": c.max_attempts,
        "timeout_at": timeout_at,
        "cancel_requested": c.cancel_requested,
        "cancel_requested_at": c.last.at if c.last and c.cancel_requested else None,
    }
    sentence = _how_it_runs(c, lease, timeout_at)
    return holds(BlockerName.RUNNING, sentence, facts, todo=_while_it_runs(c))


def _how_it_runs(c: ExplainSnapshot, lease: HeldLease, timeout_at: datetime | None) -> str:
    since = f" since {when(c.started_at, c.now)}" if c.started_at else ""
    sentence = (
        f"It runs on {lease.worker}{since}, attempt {c.attempt} of {c.max_attempts}; "
        f"the worker renewed its lease {span(c.now - lease.renewed_at)} ago, "
        f"which holds until {moment(lease.expires_at)}."
    )
    if timeout_at:
        sentence += f" The attempt's time is up at {when(timeout_at, c.now)}."
    return sentence + (" It was asked to stop." if c.cancel_requested else "")


def _while_it_runs(c: ExplainSnapshot) -> str:
    if c.cancel_requested:
        return "Nothing: its worker stops the handler within about a second, or abandons it."
    return f"Nothing. `taskmill task cancel {c.task_id}` would stop it."


def lease_ended(c: ExplainSnapshot) -> Blocker:
    """Explain what becomes of a task in progress that does not run any more."""
    lease = c.lease
    ended_at = _end_of(lease) if lease else None
    rescue_at = ended_at + _RESCUE if ended_at else None
    next_status = _after_the_loss(c)
    facts = {
        "lease": lease.liveness(c.now) if lease else "missing",
        "lease_id": c.lease_id,
        "worker": lease.worker if lease else None,
        "heartbeat_at": lease.renewed_at if lease else None,
        "ended_at": ended_at,
        "close_reason": lease.close_reason if lease else None,
        "rescue_at": rescue_at,
        "next_status": next_status,
        "losses": c.losses,
        "max_losses": c.max_losses,
    }
    sentence = (
        f"{_how_the_lease_ended(c)} {_who_takes_it_back(c, rescue_at)} {_OUTLOOKS[next_status]}"
    )
    todo = "Nothing: maintenance does it by itself."
    if overdue_since(c):
        todo = "See that maintenance runs: `taskmill run maintenance`."
    return holds(BlockerName.LEASE_ENDED, sentence, facts, todo=todo)


_OUTLOOKS = {
    Status.NEW: "Then it waits again, which costs a loss and no attempt.",
    Status.FAILED: "Then it fails: no loss is left.",
    Status.CANCELLED: "Then it is cancelled, as was requested.",
}


def _after_the_loss(c: ExplainSnapshot) -> Status:
    if c.cancel_requested:
        return Status.CANCELLED
    return Status.FAILED if c.losses >= c.max_losses else Status.NEW


def _how_the_lease_ended(c: ExplainSnapshot) -> str:
    if c.lease is None:
        return "The lease that it runs under is gone."
    if c.lease.closed_at:
        why = f" ({c.lease.close_reason})" if c.lease.close_reason else ""
        return f"The lease of {c.lease.worker} was closed at {when(c.lease.closed_at, c.now)}{why}."
    ended = when(c.lease.expires_at, c.now)
    return (
        f"{c.lease.worker} fell silent, and its lease ran out at {ended}; "
        "if it is renewed before it is closed, the task goes on."
    )


def _who_takes_it_back(c: ExplainSnapshot, rescue_at: datetime | None) -> str:
    if rescue_at is None:
        return "Maintenance takes the task back with its next round."
    if rescue_at > c.now:
        return f"Maintenance takes the task back at about {when(rescue_at, c.now)}."
    return f"Maintenance was to take the task back at about {when(rescue_at, c.now)}."


def _end_of(lease: HeldLease) -> datetime:
    return lease.closed_at or lease.expires_at


def overdue_since(c: ExplainSnapshot) -> datetime | None:
    """Return since when maintenance is late with anything, None if it is in time."""
    deadlines = [lease.expires_at + (lease.expires_at - lease.renewed_at) for lease in c.leases]
    if c.lease is not None:
        deadlines.append(_end_of(c.lease) + (c.lease.expires_at - c.lease.renewed_at))
    if c.status is Status.NEW and c.expires_at is not None:
        deadlines.append(c.expires_at)
    missed = [
        deadline + _MAINTENANCE_GRACE
        for deadline in deadlines
        if deadline + _MAINTENANCE_GRACE < c.now
    ]
    return min(missed, default=None)


def maintenance_away(c: ExplainSnapshot) -> Blocker:
    """Check whether maintenance, which the task depends on now, seems not to run."""
    since = overdue_since(c)
    expired = [lease for lease in c.leases if lease.expires_at <= c.now]
    facts = {"overdue_since": since, "leases_to_close": len(expired)}
    if since is None:
        sentence = "Nothing that maintenance has to do is overdue."
        return passed(BlockerName.MAINTENANCE_AWAY, sentence, facts)
    of_leases = (
        f"; {counted(len(expired), 'lease')} that ran out wait to be closed" if expired else ""
    )
    sentence = f"What maintenance has to do has been overdue since {when(since, c.now)}{of_leases}."
    todo = (
        "See that a process with the role runs (`taskmill run maintenance`), and what its log says; "
        "after its start it waits for the time of a lease."
    )
    return holds(BlockerName.MAINTENANCE_AWAY, sentence, facts, todo=todo)
