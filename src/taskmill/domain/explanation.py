"""Explains why a task is where it is: facts in, blockers out. It reads nothing and has no clock.

The blockers are checked in the order in which a claim meets them: its row in `dispatch`, a paused queue, the due
time, the expiry, a worker that serves queue and type, the broker where there is one, a free slot, and more urgent
tasks. Those that do not depend on others are always reported, since several may hold at once; what depends on an
earlier blocker is not reached while that holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

from taskmill.domain.blockers import Blocker, BlockerName, BlockerState, not_reached, passed
from taskmill.domain.explain_position import no_free_slot, not_claimed, tasks_ahead
from taskmill.domain.explain_running import finished, lease_ended, maintenance_away, running
from taskmill.domain.explain_snapshot import ExplainSnapshot, QueuePosition
from taskmill.domain.explain_waiting import (
    broker_away,
    expired,
    no_worker,
    not_due,
    not_enqueued,
    queue_paused,
)
from taskmill.domain.fires import TaskTick
from taskmill.domain.lifecycle import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All blockers in order, as they were `at` a moment of the database's clock; at least one holds.

    `tick` is that of the schedule that made the task, None when none did.
    """

    task_id: UUID
    status: Status
    at: datetime
    blockers: tuple[Blocker, ...]
    tick: TaskTick | None = None

    @property
    def holding(self) -> Blocker:
        """Return the first blocker that keeps the task: its sentence is the summary of all."""
        return next(blocker for blocker in self.blockers if blocker.state is BlockerState.HOLDS)


def explain(c: ExplainSnapshot) -> Explanation:
    """Check every blocker."""
    checked = {blocker.name: blocker for blocker in _blockers(c)}
    blockers = tuple(checked.get(name) or not_reached(name) for name in BlockerName)
    return Explanation(task_id=c.task_id, status=c.status, at=c.now, blockers=blockers, tick=c.tick)


def needs_position(c: ExplainSnapshot) -> bool:
    """Return whether slots and the tasks ahead matter: every blocker that does not need them is passed."""
    return c.status is Status.NEW and not any(_holds(blocker) for blocker in _own_blockers(c))


def _blockers(c: ExplainSnapshot) -> Iterator[Blocker]:
    match c.status:
        case Status.SUCCEEDED | Status.FAILED | Status.CANCELLED:
            yield finished(c)
        case Status.IN_PROGRESS:
            yield passed(BlockerName.FINISHED, "It has not ended.")
            at_work = running(c)
            yield at_work
            if not _holds(at_work):
                yield lease_ended(c)
                yield maintenance_away(c)
        case Status.NEW:
            yield from _waiting(c)
        case _:
            assert_never(c.status)


def _waiting(c: ExplainSnapshot) -> Iterator[Blocker]:
    yield passed(BlockerName.FINISHED, "It has not ended.")
    yield passed(BlockerName.RUNNING, "It does not run.")
    yield passed(BlockerName.LEASE_ENDED, "It is under no lease.")
    own = list(_own_blockers(c))
    yield from own
    if any(blocker.name is BlockerName.EXPIRED and _holds(blocker) for blocker in own):
        yield maintenance_away(c)
    if not any(map(_holds, own)):
        yield from _position_blockers(c, c.position or QueuePosition())


def _own_blockers(c: ExplainSnapshot) -> Iterator[Blocker]:
    """Check what does not depend on other tasks."""
    yield not_enqueued(c)
    yield queue_paused(c)
    yield not_due(c)
    yield expired(c)
    yield no_worker(c)
    yield broker_away(c)


def _position_blockers(c: ExplainSnapshot, position: QueuePosition) -> Iterator[Blocker]:
    """Check what depends on other tasks, and what is left when no other task goes first."""
    slots, ahead = no_free_slot(c, position), tasks_ahead(c, position)
    yield slots
    yield ahead
    if not (_holds(slots) or _holds(ahead)):
        yield not_claimed(c)


def _holds(blocker: Blocker) -> bool:
    return blocker.state is BlockerState.HOLDS
