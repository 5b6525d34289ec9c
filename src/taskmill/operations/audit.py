"""Records what operators ask for: an entry before it is done, and its outcome after.

So whatever was changed has an entry, also if the process ends in between: then the outcome is unknown. It is
called by the operations, which all entry points share; who asks comes from the request being served.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Final
from uuid import UUID

import asyncpg

from taskmill.domain.audit import (
    Actor,
    ActorKind,
    AuditAction,
    AuditEntry,
    AuditFilter,
    AuditOutcome,
    AuditRequest,
    Origin,
    Target,
)
from taskmill.domain.errors import TaskmillError, Unavailable
from taskmill.domain.parts import Part
from taskmill.domain.system import Pace, Sweep, TaskFilter
from taskmill.observability.logs import get_logger
from taskmill.runtime.offload import caller
from taskmill.runtime.os_user import os_user
from taskmill.storage import audit as rows
from taskmill.storage.database import Database
from taskmill.wire.problems import kind_of

log = get_logger(__name__)

Details = dict[str, object]

SWEEP_ACTIONS: Final[Mapping[Sweep, AuditAction]] = {
    Sweep.CANCEL: AuditAction.TASKS_CANCEL,
    Sweep.RETRY: AuditAction.TASKS_RETRY,
}
"""What a sweep is recorded as."""

_NOTHING: Final[Mapping[str, object]] = {}


def current_origin() -> Origin:
    """Return where actions of this context come from: its request, or else this process's user."""
    current = caller.get()
    if current is not None:
        return current.origin
    return Origin(actor=Actor(kind=ActorKind.MACHINE, name=os_user()))


def filter_details(wanted: TaskFilter) -> Details:
    """Return the conditions of a filter that are set."""
    nothing: tuple[object, ...] = (None, "", (), frozenset())
    found = {name: value for name, value in asdict(wanted).items() if value not in nothing}
    if wanted.took_over is not None:
        found["took_over_s"] = found.pop("took_over").total_seconds()
    if wanted.labels:
        found["labels"] = dict(wanted.labels)
    return found


def sweep_details(wanted: TaskFilter, limit: int | None, pace: Pace | None) -> Details:
    """Return what a sweep is asked for: the conditions, how many tasks, and when they are due."""
    found = filter_details(wanted)
    if limit is not None:
        found["limit"] = limit
    if pace is not None:
        found |= {"first_at": pace.first_at, "spacing_s": pace.spacing_s}
    return found


class AuditLog:
    """The audit log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def record(
        self,
        action: AuditAction,
        target: Target | None = None,
        *,
        details: Mapping[str, object] = _NOTHING,
        origin: Origin | None = None,
    ) -> AsyncIterator[Details]:
        """Record an action that is done within; what is put into the yielded details belongs to its outcome.

        Without an `origin` it is that of this context. When the action is cut off, or it is not known whether it
        took effect, there is no outcome.

        Raises:
            Unavailable: the entry can't be written, so nothing is done.
        """
        request = AuditRequest(
            action=action, origin=origin or current_origin(), target=target, details=details
        )
        entry_id = await rows.ask(self._database, request)
        done: Details = {}
        try:
            yield done
        except Unavailable:
            raise
        except TaskmillError as error:
            await self._end(entry_id, AuditOutcome.REFUSED, _reason(error), done)
            raise
        except Exception as error:
            await self._end(entry_id, AuditOutcome.FAILED, type(error).__name__, done)
            raise
        await self._end(entry_id, AuditOutcome.DONE, None, done)

    async def begin(
        self, action: AuditAction, origin: Origin, details: Mapping[str, object]
    ) -> UUID:
        """Record what goes on for long, before it begins, and return the id of the entry. Raises `Unavailable`."""
        return await rows.ask(
            self._database, AuditRequest(action=action, origin=origin, details=details)
        )

    async def end(
        self, entry_id: UUID, outcome: AuditOutcome, reason: str | None, details: Details
    ) -> None:
        """Record how what goes on for long has ended. If that fails, its outcome is unknown."""
        await self._end(entry_id, outcome, reason, details)

    async def write(
        self,
        action: AuditAction,
        origin: Origin,
        outcome: AuditOutcome,
        reason: str | None,
        details: Mapping[str, object],
    ) -> None:
        """Record what has happened already, with its outcome. Raises `Unavailable`."""
        request = AuditRequest(action=action, origin=origin, details=details)
        entry_id = await rows.ask(self._database, request)
        await rows.end(self._database, entry_id, outcome, reason, _NOTHING)

    async def page(
        self, wanted: AuditFilter, *, before: UUID | None, limit: int
    ) -> Part[AuditEntry]:
        """Return up to `limit` entries, newest first, from `before` on or from the newest."""
        return await rows.page(self._database, wanted, before=before or rows.LAST_ID, limit=limit)

    async def _end(
        self, entry_id: UUID, outcome: AuditOutcome, reason: str | None, details: Details
    ) -> None:
        try:
            await rows.end(self._database, entry_id, outcome, reason, details)
        except (Unavailable, asyncpg.PostgresError) as error:
            # What was done stays done: its entry has an unknown outcome.
            log.error(  # noqa: TRY400 - the text is enough
                "audit.outcome_lost", entry_id=str(entry_id), outcome=outcome, error=repr(error)
            )


def _reason(error: TaskmillError) -> str:
    """Return the name of the problem. An error's text may have more than an entry may say."""
    kind = kind_of(error)
    return type(error).__name__ if kind is None else kind.slug
