"""The conditions of new tasks by what they wait for, as `queries/count_waiting.sql` counts them."""

from typing import Any, Final, assert_never

import sqlalchemy as sa

from taskmill.domain.waiting import WaitingState
from taskmill.storage.schema import lease, queue

Condition = sa.ColumnElement[bool]

NEEDS_ATTEMPT: Final = frozenset({WaitingState.SCHEDULED, WaitingState.RETRYING})
"""Those that depend on whether an attempt was made."""


def waiting_conditions(
    state: WaitingState,
    *,
    run_at: sa.ColumnElement[Any],
    attempt: sa.ColumnElement[Any] | None,
    queue_name: sa.ColumnElement[Any],
    task_type: sa.ColumnElement[Any],
) -> list[Condition]:
    """Return the conditions of a state on the columns of waiting tasks; `attempt` for `NEEDS_ATTEMPT` only."""
    is_later = run_at > sa.func.now()
    match state:
        case WaitingState.SCHEDULED:
            return [is_later, _given(attempt) == 0]
        case WaitingState.RETRYING:
            return [is_later, _given(attempt) > 0]
        case WaitingState.READY:
            return [sa.not_(is_later), sa.not_(_is_held(queue_name, task_type))]
        case WaitingState.HELD:
            return [sa.not_(is_later), _is_held(queue_name, task_type)]
        case _:
            assert_never(state)


def _given(attempt: sa.ColumnElement[Any] | None) -> sa.ColumnElement[Any]:
    if attempt is None:
        raise ValueError("this state depends on the attempt")
    return attempt


def _is_held(queue_name: sa.ColumnElement[Any], task_type: sa.ColumnElement[Any]) -> Condition:
    """Return whether a queue is paused, or no live worker that takes tasks serves it with this type."""
    is_paused = sa.exists().where(queue.c.name == queue_name, queue.c.paused_at.is_not(None))
    is_served = sa.exists().where(
        lease.c.closed_at.is_(None),
        lease.c.expires_at > sa.func.clock_timestamp(),
        lease.c.request.is_(None),
        sa.or_(sa.func.cardinality(lease.c.queues) == 0, queue_name == sa.any_(lease.c.queues)),
        sa.or_(task_type == sa.any_(lease.c.types), sa.literal("*") == sa.any_(lease.c.types)),
    )
    return sa.or_(is_paused, sa.not_(is_served))
