"""One kind of failures: what is counted of it, a sample of its tasks, and what operators decide."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import asyncpg
import orjson

from taskmill.domain.activity import AnyWindow
from taskmill.domain.failure_samples import MOST, FailedTask, FailureSample, Labels
from taskmill.domain.failures import (
    FailureKind,
    KindDetails,
    KindFilter,
    KindOrder,
    KindState,
)
from taskmill.storage import failures
from taskmill.storage.database import Database

_MOST_FRESH: Final = 10_000
_MOST_PLACES: Final = 1_000
# Some of a kind are no longer failed, or in queues that may not be seen.
_MOST_LOOKED_AT: Final = 2_000
_MOST_TYPES: Final = 10


async def find(
    database: Database, kind_id: str, visible: Collection[str] | None
) -> FailureKind | None:
    """Return what is known of a kind; None if it has not failed in the `visible` queues (None: in any)."""
    queues = None if visible is None else sorted(visible)
    rows = await database.fetch("find_failure_kind", kind_id, queues, _MOST_FRESH)
    return _known(rows[0]) if rows else None


async def details(
    database: Database, known: FailureKind, window: AnyWindow, visible: Collection[str] | None
) -> KindDetails:
    """Return a kind over a window, in the `visible` queues (None: in all)."""
    page = await failures.read(
        database,
        KindFilter(window=window),
        KindOrder.MOST,
        limit=1,
        visible=visible,
        kinds=[known.kind],
    )
    step_s, length_s, *ends = failures.span_arguments(window)
    rows = await database.fetch(
        "count_failures_of_kind",
        step_s,
        length_s,
        known.kind,
        None if visible is None else sorted(visible),
        _MOST_FRESH,
        _MOST_PLACES,
        *ends,
    )
    queues: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for row in rows:
        queues[row["queue"]] += row["tasks"]
        types[row["type"]] += row["tasks"]
    return KindDetails(
        kind=page.items[0] if page.items else known,
        queues=dict(queues.most_common()),
        types=dict(types.most_common()),
        steps=page.steps,
    )


async def sample(
    database: Database, kind: FailureKind, types: Sequence[str], visible: Collection[str] | None
) -> FailureSample:
    """Return the newest tasks that are still failed in this way, and labels of such that succeeded."""
    queues = None if visible is None else sorted(visible)
    failed = [
        _failed(row)
        for row in await database.fetch("sample_failures", kind.kind, queues, _MOST_LOOKED_AT, MOST)
    ]
    wanted = list(dict.fromkeys([*(one.type for one in failed), *types]))[:_MOST_TYPES]
    of_each = MOST // max(len(wanted), 1)
    rows = await database.fetch("sample_successes", wanted, queues, of_each)
    return FailureSample(failed=failed, succeeded=[_labels(row["labels"]) for row in rows])


async def decide(database: Database, kind: FailureKind, state: KindState, by: str | None) -> None:
    """Note what somebody decided about a kind."""
    seen = (kind.first_at, kind.last_at, kind.task_id)
    await database.fetch("decide_failure_kind", kind.id, kind.kind, *seen, state, by)


def _known(row: asyncpg.Record) -> FailureKind:
    return FailureKind(
        id=row["id"],
        kind=row["error"],
        message=row["message"],
        types=[],
        tasks=0,
        growth=0,
        first_at=row["first_at"],
        last_at=row["last_at"],
        task_id=row["task_id"],
        state=KindState(row["state"]),
        state_at=row["state_at"],
        state_by=row["state_by"],
        trend=[],
        value=0.0,
    )


def _failed(row: asyncpg.Record) -> FailedTask:
    return FailedTask(
        id=row["id"],
        queue=row["queue"],
        type=row["type"],
        labels=_labels(row["labels"]),
        message=row["message"] or "",
        finished_at=row["finished_at"],
        worker=row["worker"],
        version=row["version"],
    )


def _labels(stored: str) -> Labels:
    found: Labels = orjson.loads(stored)
    return found
