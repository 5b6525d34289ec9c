"""The feed of changes: committed batches get dense positions, and readers follow these."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple
from uuid import UUID

import asyncpg

from taskmill.domain.errors import ChangesForgotten
from taskmill.domain.feed import Change, Cursor, FeedBounds, FeedPage
from taskmill.storage.database import Database
from taskmill.storage.events import event_of
from taskmill.storage.statements import statement


class _Round(NamedTuple):
    """What one round of numbering did, and its bounds on the transactions around it."""

    batches: int
    last_id: int
    ended_before: int
    begun_until: int


class Numbering:
    """Gives new batches their positions, and remembers up to which id every batch has one.

    Rows that were just numbered leave dead entries at the start of the index over unnumbered rows, and every query
    would read all of them. So queries begin after `_numbered_upto`. That is safe only when every transaction with
    an id up to there has ended, and a later round has numbered what was left: a late commit would otherwise be
    skipped, or numbered after its own consequences. After a failover the new server may have fewer ids than this
    process has seen, so everything begins anew.
    """

    def __init__(self, database: Database, on_numbered: Callable[[], None] | None = None) -> None:
        """`on_numbered` is called after each round that has numbered batches."""
        self._database = database
        self._on_numbered = on_numbered
        self._numbered_upto = 0
        self._seen: _Round | None = None
        self._server_since: datetime | None = None

    async def __call__(self, limit: int) -> bool:
        """Number up to `limit` new batches; True when there may be more."""
        try:
            if not await self._finds_new():
                return False
            done = await _number(self._database, limit, self._numbered_upto)
        except BaseException:
            self._reset()
            raise
        if done is None:
            return False
        if done.batches and self._on_numbered is not None:
            self._on_numbered()
        self._advance(done, is_whole=done.batches < limit)
        return done.batches == limit

    async def _finds_new(self) -> bool:
        """Return whether there is a new batch; after a failover, search from the beginning."""
        [found] = await self._database.fetch("find_unnumbered", self._numbered_upto)
        if found["server_since"] != self._server_since:
            self._reset()
            self._server_since = found["server_since"]
            [found] = await self._database.fetch("find_unnumbered", 0)
        is_there: bool = found["is_there"]
        return is_there

    def _reset(self) -> None:
        self._numbered_upto = 0
        self._seen = None
        self._server_since = None

    def _advance(self, done: _Round, *, is_whole: bool) -> None:
        seen = self._seen
        if seen is None:
            self._seen = done
        elif is_whole and seen.begun_until <= done.ended_before:
            self._numbered_upto = seen.last_id
            self._seen = done


async def number(database: Database, limit: int) -> int:
    """Number up to `limit` new batches and return how many; 0 also while another process does it."""
    done = await _number(database, limit, 0)
    return 0 if done is None else done.batches


async def _number(database: Database, limit: int, beyond: int) -> _Round | None:
    async with database.hot_transaction() as connection:
        numbering = await connection.fetchrow(statement("lock_numbering"))
        if numbering is None or not numbering["is_ours"]:
            return None
        done = await connection.fetchrow(statement("number_changes"), limit, beyond)
        if done is None:
            raise AssertionError("it returns one row")
    return _Round(
        batches=done["batches"],
        last_id=numbering["last_id"],
        ended_before=done["ended_before"],
        begun_until=done["begun_until"],
    )


async def bounds(database: Database) -> FeedBounds:
    """Return the first and the last position of the feed."""
    [row] = await database.fetch("find_feed_bounds")
    latest = None if row["latest"] is None else Cursor(row["latest"], row["changes"])
    return FeedBounds(row["oldest"], latest)


class ChangePair(NamedTuple):
    """A change: its task and version, and where it is in the feed."""

    position: int
    ordinal: int
    task_id: UUID
    version: int


class KeyHead(NamedTuple):
    """The oldest change of one status and queue."""

    status: str
    queue: str
    pair: ChangePair


class KeyHeads(NamedTuple):
    """The oldest change of each status and queue after a cursor, in order, and the cursor after all that was read.

    `is_last`: nothing follows.
    """

    heads: Sequence[KeyHead]
    cursor: Cursor
    is_last: bool


async def find_oldest_by_key(database: Database, after: Cursor, limit: int) -> KeyHeads:
    """Find the oldest change of each status and queue among up to `limit` changes after a cursor.

    Raises:
        ChangesForgotten: some of what follows the cursor has been pruned.
    """
    rows = await database.fetch("find_oldest_by_key", *after, limit)
    seen = rows[0]
    _check_begin(after, seen["first_batch"])
    if seen["changes"]:
        cursor = Cursor(seen["last_position"], seen["last_ordinal"])
    else:
        cursor = max(after, Cursor(seen["last_batch"] or after.position, 0))
    heads = [
        KeyHead(
            row["status"],
            row["queue"],
            ChangePair(row["position"], row["ordinal"], row["task_id"], row["version"]),
        )
        for row in rows
        if row["status"] is not None
    ]
    heads.sort(key=lambda head: head.pair)
    is_last = seen["changes"] < limit and seen["batches"] < limit
    return KeyHeads(heads, cursor, is_last)


async def read_pairs(
    database: Database, after: Cursor, limit: int
) -> tuple[list[ChangePair], Cursor, bool]:
    """Return up to `limit` changes after a cursor, the cursor after them, and whether they are the last.

    Raises:
        ChangesForgotten: some of what follows the cursor has been pruned.
    """
    rows = await database.fetch("read_change_batches", after.position, after.ordinal, limit)
    _check_whole(after, rows)
    pairs = [ChangePair(*row.values()) for row in rows if row["task_id"] is not None]
    if pairs:
        cursor = Cursor(pairs[-1].position, pairs[-1].ordinal)
    else:
        cursor = max(after, Cursor(rows[-1]["position"] if rows else after.position, 0))
    return pairs, cursor, len(rows) < limit


async def read_back(database: Database, before: Cursor, limit: int) -> list[ChangePair]:
    """Return up to `limit` changes before a cursor that are still there, the latest first."""
    rows = await database.fetch("list_latest_changes", before.position, before.ordinal, limit)
    return [ChangePair(*row.values()) for row in rows]


async def read(database: Database, after: Cursor, limit: int) -> FeedPage:
    """Return up to `limit` changes after a cursor, with their contents.

    Raises:
        ChangesForgotten: some of what follows the cursor has been pruned.
    """
    pairs, cursor, is_last = await read_pairs(database, after, limit)
    return FeedPage(await of_pairs(database, pairs) if pairs else (), cursor, is_last=is_last)


def _check_whole(after: Cursor, rows: Sequence[asyncpg.Record]) -> None:
    """Raise unless the batches follow each other, from the one of the cursor (or the very first) on."""
    _check_begin(after, rows[0]["position"] if rows else None)
    for row, following in pairwise(rows):
        if following["position"] > row["position"] + 1:
            raise ChangesForgotten(str(after))


def _check_begin(after: Cursor, first: int | None) -> None:
    """Raise unless the first batch that is there is the one of the cursor, or the very first."""
    if first is None and after.position > 0:
        raise ChangesForgotten(str(after))
    if first is not None and first > max(after.position, 1):
        raise ChangesForgotten(str(after))


async def of_pairs(database: Database, pairs: Sequence[ChangePair]) -> list[Change]:
    """Return the contents of changes, in order; changes of tasks that are gone are left out."""
    ids, versions = [pair.task_id for pair in pairs], [pair.version for pair in pairs]
    rows = await database.fetch("read_changes", ids, versions)
    found: dict[tuple[UUID, int], asyncpg.Record] = {
        (row["task_id"], row["version"]): row for row in rows
    }
    return [
        _change(Cursor(pair.position, pair.ordinal), row)
        for pair in pairs
        if (row := found.get((pair.task_id, pair.version))) is not None
    ]


def _change(cursor: Cursor, row: asyncpg.Record) -> Change:
    return Change(cursor, event_of(row), row["queue"], row["type"], row["name"], row["labels"])
