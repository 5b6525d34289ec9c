"""What a no-op task writes, from its POST until all is quiet: the write-ahead log, index entries, updates, disk.

Every role of `taskmill up` runs, so that the writes of background work count, too. With `--before REV` the same is
done, in turns, with a checkout of that revision, which runs with this one's environment.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.checkouts import NOW, compared
from benchmarks.figures import Figure, Target, at_most
from benchmarks.lab import Lab
from benchmarks.rounds import interleaved
from benchmarks.whole import Up, up_running

TITLE = "what a no-op task writes: write-ahead log, index entries, updates, disk; in bulk and one by one"

_BULK, _SINGLE = "in bulk", "one by one"
_CONNECTIONS = 32
# Sessions that wait report their statistics within ten seconds.
_STATISTICS_S = 12.0

_WAL, _IMAGES = "WAL, bytes", "WAL, bytes of that in page images"
_RECORDS, _ENTRIES = "WAL, records", "index entries"
_UPDATES, _HOT = "updates of `task`", "share of all updates that are HOT"
_DISK = "on disk, bytes"
_TARGETS: Mapping[str, Target] = {
    f"{_WAL}, {_BULK}": at_most(2300),
    f"{_ENTRIES}, {_BULK}": at_most(9),
    f"{_UPDATES}, {_BULK}": at_most(1),
    f"{_DISK}, {_BULK}": at_most(900),
}
# A split of a page inserts the entry that has made it necessary.
_LOGGED = """
SELECT sum(count)::float8, sum(combined_size)::float8, sum(fpi_size)::float8,
    sum(count) FILTER (WHERE "resource_manager/record_type" ~
        '^(Btree/(INSERT_LEAF|INSERT_POST|SPLIT_)|Gin/INSERT|Hash/INSERT)')::float8
FROM pg_get_wal_stats($1, $2, true)
"""
# Partitions count as the table that they are of.
_TABLES = """
SELECT coalesce(parent.relname, child.relname)::text AS name,
    sum(pg_total_relation_size(child.oid))::float8 AS bytes,
    sum(n_tup_upd)::float8 AS updates,
    sum(n_tup_hot_upd)::float8 AS hot_updates
FROM pg_stat_user_tables AS statistics
JOIN pg_class AS child ON child.oid = statistics.relid
LEFT JOIN pg_inherits ON inhrelid = child.oid
LEFT JOIN pg_class AS parent ON parent.oid = inhparent
WHERE schemaname = 'taskmill'
GROUP BY 1
"""

Written = Mapping[str, float]
Tables = Mapping[str, asyncpg.Record]


async def run(lab: Lab) -> list[Figure]:
    tasks = lab.pick(quick=4_000, short=40_000, full=100_000)
    with compared(lab.before, lab.folder) as checkouts:
        rounds = await interleaved(
            lab,
            {side: partial(_measure, lab, folder, tasks) for side, folder in checkouts.items()},
            describe=_shown,
        )
    names = list(dict.fromkeys(name for written in rounds[NOW] for name in written))
    return [_figure(name, rounds, lab.before) for name in names]


def _figure(name: str, rounds: Mapping[str, Sequence[Written]], before: str | None) -> Figure:
    ours, theirs = (
        [written.get(name, 0.0) for written in rounds.get(side or "", ())] for side in (NOW, before)
    )
    return Figure(
        name=name,
        unit="" if name.startswith(_HOT) else "a task",
        ours=ours,
        against=before if before and all(theirs) else "",
        theirs=theirs if all(theirs) else (),
        target=None if before else _TARGETS.get(name),
    )


def _shown(written: Written) -> str:
    return "; ".join(f"{name} {value:.3g}" for name, value in written.items())


async def _measure(lab: Lab, checkout: Path, tasks: int) -> Written:
    async with up_running(lab, checkout) as up:
        await up.connection.execute("CREATE EXTENSION IF NOT EXISTS pg_walinspect")
        # Ended tasks leave room for later ones, as in a system that has run for a while.
        await up.post(tasks)
        await up.until_ended()
        await up.until_quiet()
        await up.connection.execute("VACUUM")
        return {
            **await _written(up, tasks, _BULK, connections=1, batch=1000),
            **await _written(up, tasks // 5, _SINGLE, connections=_CONNECTIONS, batch=1),
        }


async def _written(up: Up, tasks: int, how: str, *, connections: int, batch: int) -> Written:
    await asyncio.sleep(_STATISTICS_S)
    before, began = await _tables(up), await _position(up)
    await up.post(tasks, batch=batch, connections=connections)
    await up.until_ended()
    await up.until_quiet()
    ended = await _position(up)
    await asyncio.sleep(_STATISTICS_S)
    after = await _tables(up)
    [logged] = await up.connection.fetch(_LOGGED, began, ended)
    records, bytes_, images, entries = logged
    written = {
        _WAL: bytes_,
        _IMAGES: images,
        _RECORDS: records,
        _ENTRIES: entries,
        _UPDATES: _growth(before, after, "updates", "task"),
        _DISK: _growth(before, after, "bytes"),
        **{
            f"{_DISK} of `{name}`": grown
            for name in sorted(after)
            if (grown := _growth(before, after, "bytes", name)) >= tasks
        },
    }
    updates, hot = (_growth(before, after, what) for what in ("updates", "hot_updates"))
    return {
        **{f"{name}, {how}": amount / tasks for name, amount in written.items()},
        f"{_HOT}, {how}": hot / updates,
    }


async def _position(up: Up) -> str:
    position: str = await up.connection.fetchval("SELECT pg_current_wal_flush_lsn()")
    return position


async def _tables(up: Up) -> Tables:
    return {row["name"]: row for row in await up.connection.fetch(_TABLES)}


def _growth(before: Tables, after: Tables, what: str, *names: str) -> float:
    """Return by how much tables have grown, in bytes or updates; all tables if none is named."""
    return sum(
        float(after[name][what]) - (float(before[name][what]) if name in before else 0.0)
        for name in names or after
    )
