"""Says why a task is where it is: facts in, gates out. Reads nothing and knows no clock.

The gates are looked at in the order in which a claim meets them: the lanes of unpaused queues, the due time and
the expiry, a worker that serves queue and type, the broker where there is one, a free slot, and its turn. Those
that can be told apart from the others are all told, since several may hold at once; what depends on an earlier
gate is not reached while that holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never
from uuid import UUID

from taskmill.domain.beyond_waiting import finished, lease_ended, maintenance_away, running
from taskmill.domain.circumstances import Circumstances, Line
from taskmill.domain.gates import Gate, GateName, GateState, not_reached, passed
from taskmill.domain.hindrances import (
    broker_away,
    expired,
    no_worker,
    not_due,
    not_enqueued,
    queue_paused,
)
from taskmill.domain.lifecycle import Status
from taskmill.domain.turns import no_free_slot, not_claimed, not_released, tasks_ahead

__all__ = ["Explanation", "explain", "needs_line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All gates in their order, as they were `at` a moment of the database's clock; one at least holds."""

    task_id: UUID
    status: Status
    at: datetime
    gates: tuple[Gate, ...]

    @property
    def holding(self) -> Gate:
        """Return the first gate that keeps the task: its sentence is the summary of all."""
        return next(gate for gate in self.gates if gate.state is GateState.HOLDS)


def explain(c: Circumstances) -> Explanation:
    """Judge every gate."""
    looked_at = {gate.name: gate for gate in _gates(c)}
    gates = tuple(looked_at.get(name) or not_reached(name) for name in GateName)
    return Explanation(task_id=c.task_id, status=c.status, at=c.now, gates=gates)


def needs_line(c: Circumstances) -> bool:
    """Tell whether slots and the tasks ahead matter: all that can be told without them is passed."""
    return c.status is Status.NEW and not any(_holds(gate) for gate in _standing(c))


def _gates(c: Circumstances) -> Iterator[Gate]:
    match c.status:
        case Status.SUCCEEDED | Status.FAILED | Status.CANCELLED:
            yield finished(c)
        case Status.IN_PROGRESS:
            yield passed(GateName.FINISHED, "It has not ended.")
            yield running(c)
            ended = lease_ended(c)
            if _holds(ended):
                yield ended
                yield maintenance_away(c)
        case Status.NEW:
            yield from _waiting(c)
        case _:
            assert_never(c.status)


def _waiting(c: Circumstances) -> Iterator[Gate]:
    yield passed(GateName.FINISHED, "It has not ended.")
    yield passed(GateName.RUNNING, "It does not run.")
    yield passed(GateName.LEASE_ENDED, "It is under no lease.")
    standing = list(_standing(c))
    yield from standing
    if any(gate.name is GateName.EXPIRED and _holds(gate) for gate in standing):
        yield maintenance_away(c)
    if not any(map(_holds, standing)):
        yield from _in_line(c, c.line or Line())


def _standing(c: Circumstances) -> Iterator[Gate]:
    """Judge what does not depend on other tasks."""
    yield not_enqueued(c)
    yield queue_paused(c)
    yield not_due(c)
    yield expired(c)
    yield no_worker(c)
    yield broker_away(c)


def _in_line(c: Circumstances, line: Line) -> Iterator[Gate]:
    """Judge what depends on other tasks, and what is left when it is this one's turn."""
    slots, turn, released = no_free_slot(c, line), tasks_ahead(c, line), not_released(c)
    yield slots
    yield turn
    is_its_turn = not (_holds(slots) or _holds(turn))
    if is_its_turn or not _holds(released):
        yield released
    if is_its_turn and not _holds(released):
        yield not_claimed(c)


def _holds(gate: Gate) -> bool:
    return gate.state is GateState.HOLDS
