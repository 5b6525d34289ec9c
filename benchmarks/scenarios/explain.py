"""GET /tasks/{id}/explain among 5,000,000 tasks, of which 2,000,000 wait.

One connection requests it again and again, each time for another task: those at the end of a long bucket, whose
tasks ahead must be counted; the first ones of a bucket; those that run, and those that have ended. The slots of
the only worker are taken, and the statistics of `dispatch` were never gathered.
"""

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from benchmarks import load
from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected
from benchmarks.producing import producing
from taskmill.storage import partitions

TITLE = "GET /tasks/{id}/explain among 5,000,000 tasks, 2,000,000 of them waiting"

_TASKS = 5_000_000
_WEEKS = 8
_LIMIT_MS = 50
_IDS = 2_000
_LEASE = "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"

# The latest 8,000 run; of the others two fifths wait. Ids are UUIDv7 of the creation time.
_SEED = """
WITH born AS (
    SELECT
        n,
        now() - make_interval(weeks => $2) * (1 - n::float8 / $1) AS created_at,
        CASE WHEN n > $1 - $1 / 625 THEN 'in_progress' WHEN n % 5 < 2 THEN 'new' ELSE 'succeeded' END AS status
    FROM generate_series(1, $1::integer) AS n
)
INSERT INTO taskmill.task (
    id, name, type, queue, priority, final_status, max_attempts, max_losses, run_at, created_at, started_at,
    finished_at, updated_at, labels, source
)
SELECT
    (lpad(to_hex((extract(epoch FROM created_at) * 1000)::bigint), 12, '0')
        || '7' || lpad(to_hex(n % 4096), 3, '0')
        || to_hex(8 + n % 4) || right(md5(n::text), 15))::uuid,
    'report ' || n, 'emulate', CASE WHEN n % 10 = 0 THEN 'reports' ELSE 'default' END, n / 7 % 10,
    CASE WHEN status = 'succeeded' THEN status END, 1, 3, created_at, created_at,
    CASE WHEN status = 'succeeded' THEN created_at END, CASE WHEN status = 'succeeded' THEN created_at END,
    created_at, '{}', 'rest'
FROM born
"""
_RUNNING = """
INSERT INTO taskmill.running (
    task_id, lease_id, claim_no, attempt, version, started_at, queue, run, losses, run_at, claimed_by
)
SELECT id, $2, 1, 1, 1, created_at, queue, 1, 0, run_at, 'node-1'
FROM taskmill.task ORDER BY id DESC LIMIT $1::integer / 625
"""
_WAITING = """
INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
SELECT id, queue, type, priority, run_at FROM taskmill.current_task WHERE status = 'new'
"""
_HISTORY = """
INSERT INTO taskmill.task_event (task_id, version, event, status, run, attempt, losses, claim_no, run_at)
SELECT id, 1, 'created', status, 1, attempt, 0, 1, run_at FROM taskmill.current_task
"""
_WORKER = """
INSERT INTO taskmill.lease (id, worker, queues, types, slots, running, expires_at)
SELECT $1, 'node-1', '{}', '{emulate}', count(*), count(*), now() + interval '1 day'
FROM taskmill.running
"""
_BUCKET = """
SELECT task_id FROM taskmill.dispatch
WHERE queue = 'default' AND type = 'emulate' AND priority = $1
ORDER BY queue, type, priority, run_at {order} LIMIT {ids}
"""
_OF_STATUS = "SELECT id FROM taskmill.current_task WHERE status = '{status}' LIMIT {ids}"


async def run(lab: Lab) -> list[Figure]:
    seconds, tasks = (1, _TASKS // 50) if lab.is_short else (5, _TASKS)
    async with lab.database() as url:
        files = await _seed(lab, url, tasks)
        await lab.settle()
        async with lab.taskmill("api", url, "--port", "0") as api:
            return [
                await _measure(lab, str(api.url), kind, file, seconds)
                for kind, file in files.items()
            ]


async def _measure(lab: Lab, address: str, kind: str, file: Path, seconds: int) -> Figure:
    await load.get(address, paths=file, connections=1, seconds=1)
    _check(address, kind, file)
    measured = [
        await load.get(address, paths=file, connections=1, seconds=seconds)
        for _ in range(lab.rounds)
    ]
    p95s = [one.p95_ms for one in measured]
    shown = ", ".join(f"{value:.1f}" for value in p95s)
    print(f"  {kind}: p95 {shown} ms; {measured[-1]}", flush=True)
    return Figure(name=f"p95, {kind}", unit="ms", ours=p95s, target=at_most(_LIMIT_MS))


def _check(address: str, kind: str, file: Path) -> None:
    """Check that the tasks are explained as intended."""
    path = file.read_text().split(maxsplit=1)[0]
    with urllib.request.urlopen(f"{address}{path}") as response:  # noqa: S310 - our own server
        found = json.load(response)
    [facts] = [one["facts"] for one in found["blockers"] if one["blocker"] == "tasks_ahead"]
    expected = {"last in line": ("no_free_slot", True), "first in line": ("no_free_slot", False)}
    if (found["blocker"], facts.get("is_more")) != expected.get(kind, (kind, None)):
        raise LoadFailed(f"{kind}: {found['summary']} {facts}")


async def _seed(lab: Lab, url: str, tasks: int) -> dict[str, Path]:
    async with producing(url) as producer:
        moment = datetime.now(UTC)
        for week in range(_WEEKS + 1):
            await partitions.ensure(producer.process.database, moment - timedelta(weeks=week))
    async with connected(url) as connection:
        # The guards refuse a task that is created as finished.
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(_SEED, tasks, _WEEKS)
        await connection.execute(_RUNNING, tasks, _LEASE)
        for statement in (_WAITING, _HISTORY, "VACUUM ANALYZE taskmill.task"):
            await connection.execute(statement)
        await connection.execute(_WORKER, _LEASE)
        print(f"  {tasks:,} tasks are there", flush=True)
        return {
            "last in line": await _paths(
                lab, connection, _BUCKET.format(order="DESC", ids=_IDS), 0, name="last"
            ),
            "first in line": await _paths(
                lab, connection, _BUCKET.format(order="ASC", ids=_IDS), 9, name="first"
            ),
            **{
                blocker: await _paths(
                    lab, connection, _OF_STATUS.format(status=status, ids=_IDS), name=blocker
                )
                for blocker, status in (("running", "in_progress"), ("finished", "succeeded"))
            },
        }


async def _paths(
    lab: Lab,
    connection: "asyncpg.Connection[asyncpg.Record]",
    query: str,
    *arguments: object,
    name: str,
) -> Path:
    """Write the addresses of the tasks that a query finds into a file."""
    rows = await connection.fetch(query, *arguments)
    file = lab.folder / f"explain-{name}.paths"
    file.write_text("".join(f"/tasks/{row[0]}/explain\n" for row in rows))
    return file
