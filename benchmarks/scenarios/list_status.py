"""GET /tasks?status=…&limit=50, `total` included, with a million tasks against a thousand.

Both databases have the same shape: eight weeks of tasks, most of them succeeded. One connection asks, again
and again; the figure is the median answer time.
"""

import json
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import load
from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab, connected, producing
from benchmarks.load import LoadFailed
from taskmill.storage import partitions
from taskmill.storage.database import Database

TITLE = "GET /tasks?status=…&limit=50 with `total`: 1,000,000 tasks against 1,000"

_FEW, _MANY = 1_000, 1_000_000
_STATUSES = ("succeeded", "failed", "new")
_LIMIT = 50
_WEEKS = 8

# Out of a hundred tasks: 70 succeeded, 20 failed, 5 cancelled, 5 new. Ids are UUIDv7 of the creation time.
_SEED = """
WITH born AS (
    SELECT
        n,
        now() - make_interval(weeks => $2) * (1 - n::float8 / $1) AS created_at,
        CASE WHEN n % 100 < 70 THEN 'succeeded' WHEN n % 100 < 90 THEN 'failed'
             WHEN n % 100 < 95 THEN 'cancelled' ELSE 'new' END AS status
    FROM generate_series(1, $1::integer) AS n
)
INSERT INTO taskmill.task (
    id, name, description, type, payload, queue, priority, status, attempt, max_attempts, max_losses,
    run_at, created_at, started_at, finished_at, updated_at, result, error, labels, source, version,
    claim_no
)
SELECT
    (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(n % 4096), 3, '0')
        || to_hex(8 + n % 4) || right(md5(n::text), 15))::uuid,
    'report ' || n, 'figures of a region, with charts, for the board', 'emulate',
    '{"delay_s": 1, "pages": 12}', CASE WHEN n % 10 = 0 THEN 'reports' ELSE 'default' END, 4, status,
    CASE WHEN status IN ('succeeded', 'failed') THEN 1 ELSE 0 END, 1, 3,
    created_at, created_at,
    CASE WHEN status IN ('succeeded', 'failed') THEN created_at END,
    CASE WHEN status <> 'new' THEN created_at END, created_at,
    CASE WHEN status = 'succeeded' THEN '{"emulated": true, "delay_s": 1}'::json END,
    CASE WHEN status = 'failed' THEN '{"type": "Failure", "message": "it failed"}'::jsonb END,
    '{}', 'rest', 3, 1
FROM born
"""
_COUNT = """
INSERT INTO taskmill.task_count (queue, status, tasks)
SELECT queue, status, count(*) FROM taskmill.task GROUP BY queue, status
"""


async def run(lab: Lab) -> list[Figure]:
    seconds = 1 if lab.is_quick else 3
    many = _MANY // 10 if lab.is_quick else _MANY
    paths = {status: lab.folder / f"{status}.path" for status in _STATUSES}
    for status, path in paths.items():
        path.write_text(f"{_path(status)}\n")
    async with lab.database() as few_url, lab.database() as many_url:
        await _seed(few_url, _FEW)
        await _seed(many_url, many)
        await lab.settle()
        async with (
            lab.taskmill("api", few_url, "--port", "0") as of_few,
            lab.taskmill("api", many_url, "--port", "0", name="api-of-many") as of_many,
        ):
            addresses = {"few": str(of_few.url), "many": str(of_many.url)}
            sizes = {"few": _FEW, "many": many}
            for side, address in addresses.items():
                for status in _STATUSES:
                    _check(address, status, sizes[side])
            return await _measure(lab, addresses, paths, seconds)


async def _measure(
    lab: Lab, addresses: dict[str, str], paths: dict[str, Path], seconds: int
) -> list[Figure]:
    figures = []
    for status, path in paths.items():
        p50s: dict[str, list[float]] = {side: [] for side in addresses}
        for address in addresses.values():
            await load.get(address, paths=path, connections=1, seconds=1)
        for number in range(lab.rounds):
            for side in lab.turn(number, *addresses):
                measured = await load.get(
                    addresses[side], paths=path, connections=1, seconds=seconds
                )
                p50s[side].append(measured.p50_ms)
        print(f"  {status}: {_listed(p50s['many'])} ms, few {_listed(p50s['few'])} ms", flush=True)
        figures.append(
            Figure(
                name=f"p50, status={status}",
                unit="ms",
                ours=p50s["many"],
                against="1,000 tasks",
                theirs=p50s["few"],
                target=at_most(1.5),
            )
        )
    return figures


def _path(status: str) -> str:
    return f"/tasks?status={status}&limit={_LIMIT}"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in values)


def _check(address: str, status: str, tasks: int) -> None:
    """Measure full pages with true totals only."""
    with urllib.request.urlopen(f"{address}{_path(status)}") as answer:  # noqa: S310 - our own server
        page = json.load(answer)
    share = {"succeeded": 0.7, "failed": 0.2, "new": 0.05}[status]
    if len(page["items"]) != _LIMIT or page["total"] != round(share * tasks):
        raise LoadFailed(f"{status}: {len(page['items'])} items, total {page['total']}")


async def _seed(url: str, tasks: int) -> None:
    async with producing(url) as producer:
        await _make_partitions(producer.process.database)
    async with connected(url) as connection:
        # The guards refuse a task that is born finished.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(_SEED, tasks, _WEEKS)
        await connection.execute(_COUNT)
        await connection.execute("VACUUM ANALYZE taskmill.task")
    print(f"  {tasks:,} tasks are there", flush=True)


async def _make_partitions(database: Database) -> None:
    moment = datetime.now(UTC)
    for week in range(_WEEKS + 1):
        await partitions.ensure(database, moment - timedelta(weeks=week))
