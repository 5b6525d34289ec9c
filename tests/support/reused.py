"""Databases that one test after the other uses: making a new one costs more than emptying one.

A database is as a new one when a test gets it: no rows but those of migrations, no statistics, sequences at their
start, nobody else connected. What can't be told or reset cheaply is not tried: after a change of schema, rights or
settings, and while somebody stays connected, the database is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import asyncpg

from tests.support.postgres import DatabaseServer

# The catalogs that tell of a change: a row is newer than the last reset, or their number is another.
_CATALOGS: Final = (
    "pg_attrdef",
    "pg_attribute",
    "pg_auth_members",
    "pg_authid",
    "pg_class",
    "pg_constraint",
    "pg_database WHERE datname = current_database()",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_description WHERE objoid >= 16384",
    "pg_event_trigger",
    "pg_extension",
    "pg_index",
    "pg_inherits",
    "pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'",
    "pg_policy",
    "pg_proc",
    "pg_rewrite",
    "pg_sequence",
    "pg_statistic",
    "pg_statistic_ext",
    "pg_trigger",
    "pg_type",
)
_NEW_AND_ALL: Final = "count(*) FILTER (WHERE age(xmin) < (SELECT age($1::text::xid))), count(*)"
_SCHEMA: Final = "ARRAY[{}]".format(
    ", ".join(f"(SELECT ARRAY[{_NEW_AND_ALL}] FROM {catalog})" for catalog in _CATALOGS)  # noqa: S608 - constants
)
# A table that was emptied by DELETE still has pages, by which the planner goes.
_USED: Final = """
SELECT array_agg(oid::regclass::text) FROM pg_class
WHERE relnamespace = 'taskmill'::regnamespace AND relkind = 'r' AND (pg_relation_size(oid) > 0 OR reltuples >= 0)
"""
# A statement that stores a table's rows, which also tells whether they have changed.
_ROWS: Final = """(
SELECT format('INSERT INTO {0} SELECT (row).* FROM unnest(%L::{0}[]) AS row', array_agg(t ORDER BY t::text))
FROM {0} AS t)"""
# TRUNCATE leaves an index without a size, by which the planner goes, too.
_START_AGAIN: Final = """
UPDATE pg_class SET relpages = pg_relation_size(oid) / current_setting('block_size')::int, reltuples = 0
WHERE relnamespace = 'taskmill'::regnamespace AND relkind = 'i' AND reltuples < 0;
SELECT setval(seqrelid::regclass, seqstart, false) FROM pg_sequence; SELECT pg_stat_reset()
"""
_NOTHING: Final = (None, (), ())
_NOW: Final = "SELECT pg_current_xact_id()::xid::text"
_IS_USED: Final = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid())
"""
# A session is there for a moment after its connection was closed.
_LEAVING_MS: Final = 200
# Each emptying leaves dead rows in the catalogs.
_MOST_USES: Final = 100
# While one is in use, the sessions of the test before end in the other.
_KEPT: Final = 2


@dataclass(kw_only=True)
class _Reused:
    """A database that is reused, and how it was when it was new."""

    url: str
    sql: "asyncpg.Connection[asyncpg.Record]"
    check: str
    schema: object
    first_rows: Mapping[str, str]
    clean_since: str
    uses: int = 0


class ReusedDatabases:
    """Copies of a template on a server, which are emptied between tests."""

    def __init__(self, server: DatabaseServer, template: str) -> None:
        self._server = server
        self._template = template
        self._idle: deque[_Reused] = deque()
        self._used: dict[str, _Reused] = {}

    def take(self) -> str:
        """Return the address of a database that is as new."""
        one = self._idle.popleft() if len(self._idle) >= _KEPT else None
        if one is not None and not self._server.run(_is_reset(one)):
            self._drop(one)
            one = None
        if one is None:
            one = self._server.run(_inspect(self._server.create(template=self._template)))
        one.uses += 1
        self._used[one.url] = one
        return one.url

    def give_back(self, url: str) -> None:
        """Keep a database for a later test."""
        self._idle.append(self._used.pop(url))

    def close(self) -> None:
        """Drop all."""
        for one in (*self._idle, *self._used.values()):
            self._drop(one)

    def _drop(self, one: _Reused) -> None:
        self._server.run(_close(one))
        self._server.drop(one.url)


async def _inspect(url: str) -> _Reused:
    # One trigger refuses to empty its table.
    sql = await asyncpg.connect(url, server_settings={"session_replication_role": "replica"})
    tables = sorted(await sql.fetchval(_USED))
    rows = ", ".join(_ROWS.format(table) for table in tables)
    check = f"SELECT {_SCHEMA}, ({_USED}), ARRAY[{rows}]"
    clean_since = await sql.fetchval(_NOW)
    schema, _, first_rows = await sql.fetchrow(check, clean_since) or _NOTHING
    return _Reused(
        url=url,
        sql=sql,
        check=check,
        schema=schema,
        first_rows=dict(zip(tables, first_rows, strict=True)),
        clean_since=clean_since,
    )


async def _close(one: _Reused) -> None:
    with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await one.sql.close(timeout=5)


async def _is_reset(one: _Reused) -> bool:
    """Make a database as it was, and return whether that was possible."""
    if one.uses >= _MOST_USES:
        return False
    try:
        async with asyncio.timeout(10):
            return await _is_left(one) and await _is_emptied(one)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


async def _is_left(one: _Reused) -> bool:
    """Whether nobody is connected any more."""
    for _ in range(_LEAVING_MS):
        if not await one.sql.fetchval(_IS_USED):
            return True
        await asyncio.sleep(0.001)
    return False


async def _is_emptied(one: _Reused) -> bool:
    """Empty the tables, unless more than rows has changed."""
    schema, used, rows = await one.sql.fetchrow(one.check, one.clean_since) or _NOTHING
    if schema != one.schema:
        return False
    same = {
        table
        for table, row in zip(one.first_rows, rows, strict=True)
        if row == one.first_rows[table]
    }
    changed = sorted({*used} - same)
    stored = [one.first_rows[table] for table in changed if table in one.first_rows]
    emptied = [f"TRUNCATE {', '.join(changed)}"] if changed else []
    await one.sql.execute("; ".join([*emptied, _START_AGAIN, *stored]))
    one.clean_since = await one.sql.fetchval(_NOW)
    return True
