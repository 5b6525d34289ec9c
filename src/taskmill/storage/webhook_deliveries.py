"""Deliveries to webhooks and callbacks: made from changes, claimed, recorded, pruned. It sends nothing."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain.errors import DeliveryNotFound, WebhookNotFound
from taskmill.domain.feed import START, Cursor
from taskmill.domain.grants import Grant
from taskmill.domain.lifecycle import TERMINAL
from taskmill.domain.webhooks import Delivery, DeliveryState, WebhookBacklog
from taskmill.storage.api_keys import known_grants
from taskmill.storage.changes import ChangePair
from taskmill.storage.cursor_leases import CursorLease
from taskmill.storage.database import Database

DESTINATION: Final = "webhooks"
LAST_ID: Final = 2**63 - 1
# 2,000 endpoints with nothing due take 5 ms (2026-11-25). Each origin of callbacks is one: there may be 100,000.
MOST_SCANNED: Final = 2000
_MOST_OF_A_TASK: Final = 500
_MOST_LOOKED_AT: Final = 20


class DueEndpoints(NamedTuple):
    """Endpoints that have something due, and the one after which the scan goes on; "" when all were scanned."""

    endpoints: list[str]
    until: str


class DueDelivery(NamedTuple):
    """A delivery that this process tries now. `url` and `secrets` are None where they are gone, or there are none.

    The secrets are as they are stored: mostly encrypted. `owner` is the name of the API key whose webhook it is,
    and `grants` what its newest live key grants, None where there is none.

    A test has no `pair`. `attempt` is the number of this try, from 1.
    """

    id: int
    endpoint: str
    webhook_id: UUID | None
    pair: ChangePair | None
    attempt: int
    created_at: datetime
    give_up_at: datetime
    url: str | None
    secrets: Sequence[str] | None
    owner: str | None = None
    grants: tuple[Grant, ...] | None = None

    @property
    def event_id(self) -> str:
        """The id of the event, the same for every try."""
        return _event_id(self.id, self.pair)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedTry:
    """How a try ended. `wait_s` is the pause before the next one, if there is one.

    One `is_held` was not made, as its secret can't be decrypted: that says nothing of the endpoint.
    """

    delivery: DueDelivery
    state: DeliveryState
    wait_s: float = 0.0
    response_status: int | None = None
    trouble: str | None = None
    is_held: bool = False


class SkippedChanges(NamedTuple):
    """Whether there is any webhook or callback, the end of the feed, and whether the cursor was moved there."""

    is_followed: bool
    latest: Cursor
    has_moved: bool


async def skip_changes(database: Database, cursor_lease: CursorLease) -> SkippedChanges:
    """Move the feed's cursor to the end of the feed, if there is neither a webhook nor a callback.

    Moves nothing when the cursor lease was lost.
    """
    [row] = await database.fetch("skip_changes", cursor_lease.holder, cursor_lease.hold_s)
    latest = START if row["position"] is None else Cursor(row["position"], row["ordinal"])
    return SkippedChanges(row["is_followed"], latest, row["has_moved"])


async def fan_out(
    database: Database,
    cursor_lease: CursorLease,
    cursor: Cursor,
    pairs: Sequence[ChangePair],
    *,
    give_up_s: float,
) -> int | None:
    """Make deliveries of changes and move the feed's cursor after them; None when the cursor lease was lost.

    Both happen or neither.
    """
    columns = tuple(map(list, zip(*pairs, strict=True))) if pairs else ([], [], [], [])
    made: int | None = await database.fetch_value(
        "fan_out_changes",
        *(cursor_lease.holder, cursor_lease.hold_s, *cursor, *columns),
        *(list(TERMINAL), give_up_s),
    )
    return made


async def find_due(
    database: Database, after: str, limit: int, *, scan_limit: int = MOST_SCANNED
) -> DueEndpoints:
    """Find up to `limit` endpoints after `after` with something due, in order, among the next `scan_limit`."""
    rows = await database.fetch("find_due_endpoints", after, limit, scan_limit)
    has_more = bool(rows) and (len(rows) == limit or rows[-1]["is_end"])
    return DueEndpoints(
        [row["endpoint"] for row in rows if row["is_due"]], rows[-1]["endpoint"] if has_more else ""
    )


async def is_any(database: Database) -> bool:
    """Return whether any delivery is pending, due or not."""
    return bool(await database.fetch_value("has_deliveries"))


async def claim(
    database: Database, limits: Iterable[tuple[str, int]], *, hold_s: float
) -> list[DueDelivery]:
    """Take due deliveries, up to a limit for each endpoint; unless recorded, they are due again after `hold_s`."""
    endpoints, sizes = zip(*limits, strict=True)
    return [_due(row) for row in await database.fetch("claim_deliveries", endpoints, sizes, hold_s)]


async def record(database: Database, ended: Iterable[EndedTry]) -> int:
    """Record how tries ended; return how many of them still counted."""
    rows = [
        (
            one.delivery.id,
            one.delivery.attempt,
            one.state,
            one.wait_s,
            one.response_status,
            one.trouble,
        )
        for one in sorted(ended, key=lambda one: one.delivery.id)
    ]
    return len(await database.fetch("record_deliveries", *zip(*rows, strict=True)))


class GivenUp(NamedTuple):
    """How many deliveries were given up, how many of them were callbacks, and how many others got more time."""

    deliveries: int
    callbacks: int
    held: int


async def give_up(
    database: Database,
    limit: int,
    *,
    key_ids: Sequence[str],
    needs_callback_key: bool,
    hold_s: float,
) -> GivenUp:
    """Give up deliveries past their deadline, up to `limit` of them.

    Those whose secret is encrypted with a key that is not among `key_ids` get `hold_s` more instead.
    """
    arguments = (limit, key_ids, needs_callback_key, hold_s)
    rows = await database.fetch("give_up_deliveries", *arguments)
    given_up = [row for row in rows if row["is_given_up"]]
    callbacks = sum(row["is_callback"] for row in given_up)
    return GivenUp(len(given_up), callbacks, len(rows) - len(given_up))


async def page(
    database: Database,
    webhook_id: UUID,
    *,
    before: int,
    states: Iterable[DeliveryState],
    limit: int,
    visible: Collection[str] | None = None,
) -> list[Delivery]:
    """Return up to `limit` deliveries of a webhook with ids below `before`, newest first.

    Of `visible` queues, and tests; None for all.
    """
    queues = None if visible is None else sorted(visible)
    rows = await database.fetch(
        "list_webhook_deliveries", webhook_id, before, list(states), limit, queues
    )
    return [_delivery(row) for row in rows]


async def backlogs(
    database: Database,
    webhook_ids: Collection[UUID],
    *,
    most: int,
    visible: Collection[str] | None = None,
) -> dict[UUID, WebhookBacklog]:
    """Return what waits for webhooks, `most` deliveries of each, and when each took something last.

    Of `visible` queues, and tests, as far as some of each show it; None for all.
    """
    queues = None if visible is None else sorted(visible)
    rows = await database.fetch(
        "read_webhook_backlogs", list(webhook_ids), most + 1, queues, _MOST_LOOKED_AT
    )
    looked_at = most + 1 if queues is None else _MOST_LOOKED_AT
    return {row["id"]: _backlog(row, most, looked_at) for row in rows}


async def of_task(database: Database, task_id: UUID) -> list[Delivery]:
    """Return the deliveries of a task's callback, newest first."""
    rows = await database.fetch("list_callback_deliveries", task_id, _MOST_OF_A_TASK)
    return [_delivery(row) for row in rows]


async def resend(
    database: Database, webhook_id: UUID, delivery_id: int, *, give_up_s: float
) -> Delivery:
    """Have a delivery tried again. Raises `DeliveryNotFound`."""
    rows = await database.fetch("resend_delivery", delivery_id, webhook_id, give_up_s)
    if not rows:
        raise DeliveryNotFound(delivery_id)
    return _delivery(rows[0])


async def test(database: Database, webhook_id: UUID, *, give_up_s: float) -> Delivery:
    """Make a delivery of a test event without a task. Raises `WebhookNotFound`."""
    rows = await database.fetch("test_webhook", webhook_id, give_up_s)
    if not rows:
        raise WebhookNotFound(webhook_id)
    return _delivery(rows[0])


async def prune(database: Database, days: float, limit: int) -> int:
    """Delete up to `limit` deliveries that ended so many days ago; return how many."""
    return len(await database.fetch("prune_deliveries", days, limit))


def _pair(row: asyncpg.Record) -> ChangePair | None:
    if row["task_id"] is None:
        return None
    return ChangePair(row["position"], row["ordinal"], row["task_id"], row["version"])


def _event_id(delivery_id: int, pair: ChangePair | None) -> str:
    """Return an id without full stops: they join the parts of the signature."""
    return f"test_{delivery_id}" if pair is None else f"evt_{pair.position}_{pair.ordinal}"


def _due(row: asyncpg.Record) -> DueDelivery:
    return DueDelivery(
        id=row["id"],
        endpoint=row["endpoint"],
        webhook_id=row["webhook_id"],
        pair=_pair(row),
        attempt=row["attempts"],
        created_at=row["created_at"],
        give_up_at=row["give_up_at"],
        url=row["url"],
        secrets=row["secrets"],
        owner=row["owner"],
        grants=None if row["grants"] is None else tuple(known_grants(row["grants"])),
    )


def _backlog(row: asyncpg.Record, most: int, looked_at: int) -> WebhookBacklog:
    return WebhookBacklog(
        waiting=min(row["waiting"], most),
        are_more=row["waiting"] >= looked_at,
        oldest_at=row["oldest_at"],
        due_at=row["due_at"],
        delivered_at=row["delivered_at"],
    )


def _delivery(row: asyncpg.Record) -> Delivery:
    is_pending = row["state"] == DeliveryState.PENDING
    return Delivery(
        id=row["id"],
        webhook_id=row["webhook_id"],
        url=row["url"],
        task_id=row["task_id"],
        version=row["version"],
        event_id=_event_id(row["id"], _pair(row)),
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        created_at=row["created_at"],
        tried_at=row["tried_at"],
        next_at=row["next_at"] if is_pending else None,
        finished_at=row["finished_at"],
        response_status=row["response_status"],
        trouble=row["trouble"],
    )
