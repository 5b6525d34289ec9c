"""Stores jobs: what each is to do, how far it is, and which process holds it. It changes no task."""

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import orjson

from taskmill.domain.audit import Actor, ActorKind, Origin
from taskmill.domain.grants import Scope
from taskmill.domain.jobs import MOST_OPEN, Job, JobRequest, JobState, NewJob
from taskmill.domain.lifecycle import Status
from taskmill.domain.parts import Part
from taskmill.domain.system import Pace, Sweep, SweepStart, TaskFilter
from taskmill.domain.task import IdempotencyKey
from taskmill.domain.waiting import WaitingState
from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from taskmill.storage.statements import part, statement


class JobCounts(NamedTuple):
    """How many tasks matched, were changed, and were asked to stop."""

    matched: int
    changed: int
    requested: int


LAST_ID: Final = UUID(int=2**128 - 1)
"""Above every id, so that a page from here on begins with the newest."""


async def create(
    database: Database, new: NewJob, idempotency: IdempotencyKey | None = None
) -> Job | None:
    """Store a new job; None if there is one with the id or the key, or as many go on as may."""
    request, pace = new.request, new.request.pace
    rows = await database.fetch(
        "create_job",
        new.id,
        request.action,
        _packed_filter(request.wanted),
        list(request.ids),
        request.limit,
        request.expected,
        None if pace is None else pace.first_at,
        0.0 if pace is None else pace.spacing_s,
        orjson.dumps(new.origin).decode(),
        new.origin.actor.key_id,
        list(new.scopes),
        new.start.after,
        new.start.until,
        MOST_OPEN,
        None if idempotency is None else idempotency.key,
        None if idempotency is None else idempotency.request_hash,
    )
    return _job(rows[0]) if rows else None


async def get(database: Database, job_id: UUID) -> Job | None:
    """Return a job, None when there is none."""
    rows = await database.fetch("get_job", job_id)
    return _job(rows[0]) if rows else None


async def get_of_key(database: Database, key_id: str | None, key: str) -> tuple[Job, bytes] | None:
    """Return the job that an API key has started with an idempotency key, and the hash of that request."""
    rows = await database.fetch("get_job_of_key", key_id, key)
    return (_job(rows[0]), rows[0]["request_hash"]) if rows else None


async def page(database: Database, *, before: UUID, limit: int, key_id: str | None) -> Part[Job]:
    """Return up to `limit` jobs with ids before `before`, newest first; of one API key, if it is given."""
    return part(await database.fetch("list_jobs", before, limit + 1, key_id), limit, _job)


async def claim(database: Database, holder: UUID, *, hold_s: float, limit: int) -> list[UUID]:
    """Take jobs that no process goes on with, and return their ids."""
    return [row["id"] for row in await database.fetch("claim_jobs", holder, hold_s, limit)]


async def hold(database: Database, job_id: UUID, holder: UUID, *, hold_s: float) -> Job | None:
    """Hold a job for longer, and return it as it is; None if it is over, or another process holds it.

    Raises:
        ValueError: a later release has stored a condition of its filter that is not known here.
    """
    rows = await database.fetch("hold_job", job_id, holder, hold_s)
    return _job(rows[0], is_to_be_done=True) if rows else None


async def set_entry(database: Database, job_id: UUID, holder: UUID, entry_id: UUID) -> None:
    """Note the entry of the audit log that a job has."""
    await database.fetch("set_job_entry", job_id, holder, entry_id)


async def advance(
    connection: Connection, job: Job, holder: UUID, after: UUID, counts: JobCounts
) -> bool:
    """Note what a job has done within the transaction of a connection; False if that must not commit."""
    values = (job.id, holder, after, *counts, job.start.after)
    return bool(await connection.fetch(statement("advance_job"), *values))


async def end(
    database: Database, job_id: UUID, holder: UUID, state: JobState, problem: str | None = None
) -> Job | None:
    """End a job, and return it; None if it is over, or another process holds it."""
    rows = await database.fetch("end_job", job_id, holder, state, problem)
    return _job(rows[0]) if rows else None


async def release(database: Database, job_id: UUID, holder: UUID) -> None:
    """Let another process go on with a job."""
    await database.fetch("release_job", job_id, holder)


async def stop(database: Database, job_id: UUID, by: str | None) -> Job | None:
    """Ask a job to stop, and return it; None if it is over, or not there."""
    rows = await database.fetch("stop_job", job_id, by)
    return _job(rows[0]) if rows else None


def _job(row: asyncpg.Record, *, is_to_be_done: bool = False) -> Job:
    """Return a job as it is stored. If it is only shown, it may have conditions that are not known here."""
    return Job(
        id=row["id"],
        request=JobRequest(
            action=Sweep(row["action"]),
            wanted=_filter(row["wanted"], knows_all=is_to_be_done),
            ids=tuple(row["task_ids"]),
            limit=row["task_limit"],
            expected=row["expected"],
            pace=_pace(row),
        ),
        origin=_origin(row["origin"]),
        scopes=tuple(map(Scope, row["scopes"])),
        start=SweepStart(after=row["after_id"], until=row["until_id"]),
        entry_id=row["entry_id"],
        state=JobState(row["state"]),
        problem=row["problem"],
        matched=row["matched"],
        changed=row["changed"],
        requested=row["requested"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        stop_requested_at=row["stop_requested_at"],
        stop_requested_by=row["stop_requested_by"],
        ended_at=row["ended_at"],
    )


def _pace(row: asyncpg.Record) -> Pace | None:
    first_at = row["first_at"]
    return None if first_at is None else Pace(first_at=first_at, spacing_s=row["spacing_s"])


def _packed_filter(wanted: TaskFilter) -> str:
    """Return what a filter has set as JSON; the queues that may be seen are not in it, as they are found anew."""
    given = {
        one.name: _PACKED[one.name](value) if one.name in _PACKED else value
        for one in fields(wanted)
        if one.name != "visible" and (value := getattr(wanted, one.name)) != one.default
    }
    return orjson.dumps(given).decode()


def _filter(packed: str, *, knows_all: bool) -> TaskFilter:
    """Return a stored filter, without what is not known here: with `knows_all` that is a `ValueError`."""
    given: dict[str, Any] = orjson.loads(packed)
    unknown = given.keys() - {one.name for one in fields(TaskFilter)}
    if unknown and knows_all:
        raise ValueError(f"unknown conditions: {', '.join(sorted(unknown))}")
    return TaskFilter(
        **{
            name: _UNPACKED[name](value) if name in _UNPACKED else value
            for name, value in given.items()
            if name not in unknown
        }
    )


_PACKED: Final[dict[str, Callable[[Any], object]]] = {
    "statuses": sorted,
    "labels": dict,
    "took_over": timedelta.total_seconds,
}
_UNPACKED: Final[dict[str, Callable[[Any], Any]]] = {
    "statuses": lambda names: frozenset(map(Status, names)),
    "labels": lambda pairs: tuple(sorted(pairs.items())),
    "created_after": datetime.fromisoformat,
    "created_before": datetime.fromisoformat,
    "lease": UUID,
    "waiting": WaitingState,
    "took_over": lambda seconds: timedelta(seconds=seconds),
}


def _origin(packed: str) -> Origin:
    given: dict[str, Any] = orjson.loads(packed)
    actor = given["actor"] | {"kind": ActorKind(given["actor"]["kind"])}
    return Origin(actor=Actor(**actor), request_id=given["request_id"])
