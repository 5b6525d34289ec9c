"""The shapes of the audit log's entries."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, Field

from taskmill.domain import identity
from taskmill.domain.audit import ActorKind, AuditAction, AuditEntry, AuditOutcome
from taskmill.wire.encoding import encode_json, fast_timestamp, fields_of
from taskmill.wire.fields import Timestamp


class ActorView(BaseModel):
    """Who acted."""

    kind: ActorKind = Field(
        description="`key`: an API key; `session`: somebody who has logged in; `machine`: a user of the machine "
        "that a program ran on; `anonymous`: a client of whom nothing else is known"
    )
    name: str | None = Field(description="the key's, or the user's")
    key_id: str | None
    session: str | None
    address: str | None = Field(
        description="the client's; of clients that were refused, the network of an IPv6 address"
    )


class TargetView(BaseModel):
    """What the action was about."""

    type: str
    id: str = Field(description="its id, or its name")


class AuditEntryView(BaseModel):
    """What was asked for, and how it ended."""

    id: UUID
    at: Timestamp = Field(description="when it was asked for, by the database's clock")
    action: str = Field(description=f"one of {', '.join(AuditAction)}; later releases have more")
    actor: ActorView
    request_id: str | None = Field(description="the request's, as in `X-Request-Id` and in logs")
    target: TargetView | None
    outcome: AuditOutcome = Field(
        description="`unknown` while it still runs, or if its process ended or the database went away meanwhile"
    )
    reason: str | None = Field(description="why it was refused, or failed")
    ended_at: Timestamp | None
    details: dict[str, Any] = Field(
        description="what was asked for (as the filter of a sweep), and what was done (as the number of tasks)"
    )


class AuditEntryList(BaseModel):
    """A part of the audit log, newest first."""

    items: list[AuditEntryView]
    next_cursor: str | None = Field(description="null on the last page")


def audit_entries_json(items: Iterable[AuditEntry], next_cursor: str | None) -> bytes:
    """Return a page of the audit log as an `AuditEntryList` in JSON."""
    return encode_json({"items": [_fields(item) for item in items], "next_cursor": next_cursor})


def details_of(entry: AuditEntry) -> dict[str, Any]:
    """Return what was asked for, and what was done."""
    return {**orjson.loads(entry.asked), **orjson.loads(entry.done or "{}")}


def _fields(entry: AuditEntry) -> dict[str, object]:
    target = None
    if entry.target_type is not None:
        target = {"type": entry.target_type, "id": entry.target_id}
    return fields_of(
        AuditEntryView,
        entry,
        at=fast_timestamp(identity.created_at(entry.id)),
        actor=fields_of(ActorView, entry.origin.actor),
        request_id=entry.origin.request_id,
        target=target,
        details=details_of(entry),
    )
