"""Checks what keeps a task that could run: occupied slots, more urgent tasks, its claim."""

from datetime import timedelta

from taskmill.domain.blockers import (
    Blocker,
    BlockerName,
    counted,
    holds,
    passed,
    rate,
    span,
)
from taskmill.domain.explain_snapshot import ExplainSnapshot, QueuePosition


def _taken_slots(c: ExplainSnapshot, position: QueuePosition) -> tuple[int, int]:
    """Return how many slots the workers for the task have, and how many are taken."""
    serving = c.serving
    counts = position.running
    taken = (w.running if counts is None else counts.get(w.id, 0) for w in serving)
    return sum(worker.slots for worker in serving), sum(taken)


def no_free_slot(c: ExplainSnapshot, position: QueuePosition) -> Blocker:
    """A worker claims no more than it can run at once."""
    slots, taken = _taken_slots(c, position)
    workers = counted(len(c.serving), "worker")
    facts = {
        "slots": slots,
        "running": None if c.is_limited else taken,
        "is_counted": position.running is not None and not c.is_limited,
    }
    if taken < slots:
        of = f"{counted(slots, 'slot')} of {workers}"
        sentence = f"Not all {of} are taken." if c.is_limited else f"{taken:,} of {of} are taken."
        return passed(BlockerName.NO_FREE_SLOT, sentence, facts)
    todo = "Wait; or start another worker, or give them more slots (TASKMILL_WORKER__CONCURRENCY)."
    sentence = f"All {counted(slots, 'slot')} of {workers} are taken."
    return holds(BlockerName.NO_FREE_SLOT, sentence, facts, todo=todo)


def tasks_ahead(c: ExplainSnapshot, position: QueuePosition) -> Blocker:
    """More urgent tasks go first: of a higher priority, or as urgent and due earlier."""
    slots, taken = _taken_slots(c, position)
    free = max(slots - taken, 0)
    wait_s = (
        position.ahead / position.per_second if position.ahead and position.per_second else None
    )
    facts = {
        "ahead": position.ahead,
        "is_more": position.is_more,
        "priority": c.priority,
        "free_slots": None if c.is_limited else free,
        "claimed_per_second": None
        if position.per_second is None
        else round(position.per_second, 3),
        "about_s": None if wait_s is None else round(wait_s, 1),
    }
    if position.ahead == 0 and not position.is_more:
        return passed(BlockerName.TASKS_AHEAD, "No due task goes before it.", facts)
    sentence = _ahead_sentence(c, position)
    if position.ahead is not None and position.ahead < free:
        are_free = "enough slots are free" if c.is_limited else f"{free:,} slots are free"
        return passed(BlockerName.TASKS_AHEAD, f"{sentence}, and {are_free}.", facts)
    todo = "Wait, or start more workers. A task with a higher `priority` goes before those with a lower."
    return holds(
        BlockerName.TASKS_AHEAD, f"{sentence}{_wait_clause(position, wait_s)}.", facts, todo=todo
    )


def _ahead_sentence(c: ExplainSnapshot, position: QueuePosition) -> str:
    of = f"of queue {c.queue}"
    if position.ahead is None:
        return f"More due tasks {of} go before it than could be counted in time"
    number = f"{'At least' if position.is_more else 'About'} {counted(position.ahead, 'due task')}"
    return f"{number} {of} {'goes' if position.ahead == 1 else 'go'} before it"


def _wait_clause(position: QueuePosition, wait_s: float | None) -> str:
    if wait_s is not None and position.per_second is not None:
        takes = f"{'at least' if position.is_more else 'about'} {span(timedelta(seconds=wait_s))}"
        return f"; at the present {rate(position.per_second)} a second that takes {takes}"
    return "; none was claimed in the last minutes" if position.per_second == 0 else ""


def not_claimed(c: ExplainSnapshot) -> Blocker:
    """Nothing keeps the task: the next claim takes it."""
    ready_at = max(c.run_at, c.last.at) if c.last else c.run_at
    ready_for = c.now - ready_at
    facts = {"ready_at": ready_at, "ready_for_s": ready_for.total_seconds()}
    sentence = f"Nothing has kept it for {span(ready_for)}: the next claim takes it."
    todo = (
        "Ask again in a second. If it stays so, look for `claim.failed` and `hints.missing` "
        "in the workers' logs."
    )
    return holds(BlockerName.NOT_CLAIMED, sentence, facts, todo=todo)
