"""However many names there are, scans of the buckets are bounded, and every bucket is reached."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from taskmill.domain.lifecycle import Status
from taskmill.domain.remote import LeaseRequest, RemoteLease
from taskmill.relay.hinting import HintSender
from taskmill.runtime.idle_backoff import IDLE_PAUSE_S, IdleBackoff
from taskmill.settings import PullSettings
from taskmill.storage import figures, queues
from taskmill.storage.bucket_scan import BucketScan, FirstWaiting
from taskmill.storage.claims import Bucket
from taskmill.storage.database import Database
from taskmill.worker.handlers import Handlers
from tests.support.plans import Plan, explaining
from tests.support.postgres import DatabaseServer
from tests.support.pulling import a_pull
from tests.support.stage import Stage, a_stage
from tests.support.workers import WorkerOptions, a_transport

NAMES = 6_000
QUEUES = 300
MOST = 100
FIRST = ("", "", -1)

# Each task is a bucket of its own: of very many types, in very many queues, at all priorities.
SEED = """
    WITH named AS (
        SELECT
            n, 'queue-' || n % $2 AS queue, 'type-' || n AS type, (n % 10)::smallint AS priority,
            (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 60000), 12, '0') || '7'
                || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid AS id
        FROM generate_series(1, $1::integer) AS n
    ),
    made AS (
        INSERT INTO taskmill.task (
            id, name, type, queue, priority, run_at, created_at, max_attempts, max_losses, labels, source
        )
        SELECT id, 'a task', type, queue, priority, now(), now(), 1, 3, '{}', 'seed' FROM named
    ),
    waiting AS (
        INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
        SELECT id, queue, type, priority, now() - interval '1 minute' FROM named
    ),
    queues AS (
        INSERT INTO taskmill.queue (name) SELECT DISTINCT queue FROM named ON CONFLICT (name) DO NOTHING
    )
    INSERT INTO taskmill.task_count (queue, status, tasks) SELECT queue, 'new', count(*) FROM named GROUP BY queue
"""


async def seed(url: str, queues: int) -> None:
    async with a_stage(url) as stage:
        await stage.sql.execute("SET session_replication_role = replica")
        await stage.sql.execute(SEED, NAMES, queues)


@pytest.fixture(scope="module", params=[1, QUEUES], ids=["one queue", "many queues"])
def crowded_url(
    database_server: DatabaseServer, stage_template: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A database with tasks of very many names; tests undo what they do to it."""
    url = database_server.create(template=stage_template)
    database_server.run(seed(url, request.param))
    yield url
    database_server.drop(url)


@pytest.fixture
async def crowded(crowded_url: str) -> AsyncIterator[Stage]:
    async with a_stage(crowded_url) as stage:
        yield stage


def check(plan: Plan, *, rows: float) -> None:
    assert plan.faults == []
    assert plan.rows_read <= rows, f"{plan.rows_read} rows read"


async def test_each_scan_is_bounded_and_together_they_see_everything_once(
    crowded: Stage,
) -> None:
    scan, seen = BucketScan(most=1_000), list[Bucket]()
    while True:
        found = await scan.scan(crowded.database)
        assert len(found) <= 1_000
        assert not scan.is_complete
        seen += found
        if scan.is_at_end:
            break
    assert len(seen) == len(set(seen)) == NAMES


async def test_the_cost_of_a_scan_is_bounded_whatever_waits(crowded: Stage) -> None:
    async with explaining(crowded.database) as session:
        rows, plan = await session.fetch("find_buckets", None, None, MOST, *FIRST)
        assert len(rows) == MOST
        assert [row["is_end"] for row in rows] == [False] * (MOST - 1) + [True]
        # Each bucket is one row of the index, and of its queue; or all queues are read once.
        check(plan, rows=2 * MOST + QUEUES + 2)


async def test_types_of_other_workers_are_skipped(crowded: Stage) -> None:
    """A worker that serves two types reads a few rows of each queue, not all that waits there."""
    queue_count = await crowded.sql.fetchval("SELECT count(*) FROM taskmill.queue")
    async with explaining(crowded.database) as session:
        wanted = ["type-2500", "type-777"]
        rows, plan = await session.fetch("find_buckets", wanted, None, 5_000, *FIRST)
        assert sorted(row["type"] for row in rows if row["is_wanted"]) == wanted
        check(plan, rows=8 * queue_count + 10)
        [queue] = {row["queue"] for row in rows if row["type"] == "type-777"}
        rows, plan = await session.fetch("find_buckets", wanted, [queue], 5_000, *FIRST)
        assert "type-777" in {row["type"] for row in rows if row["is_wanted"]}
        check(plan, rows=20)
        await session.connection.execute("UPDATE taskmill.queue SET paused_at = now()")
        rows, plan = await session.fetch("find_buckets", None, None, 5_000, *FIRST)
        assert rows == []
        check(plan, rows=3 * queue_count + 2)


async def test_similar_statements_are_bounded_too(crowded: Stage) -> None:
    names = sorted(await queues.names(crowded.database))
    most = max(MOST, len(names))
    async with explaining(crowded.database) as session:
        _, plan = await session.fetch("find_oldest_due", names, most)
        check(plan, rows=2 * most + 2)
        _, plan = await session.fetch("verify_overdue", 120.0, MOST, *FIRST, None)
        check(plan, rows=4 * MOST + 10)


async def test_figures_are_bounded_and_have_every_queue(crowded: Stage) -> None:
    listed = await crowded.service.queues()
    assert sum(queue.counts[Status.NEW] for queue in listed) == NAMES
    assert all(queue.oldest_due_at is not None for queue in listed)
    read = await figures.read(crowded.database)
    assert all(queue.oldest_due_s > 50 for queue in read.queues)
    assert sum(queue.unserved_types for queue in read.queues) <= queues.MOST_BUCKETS


async def test_pausing_and_resuming_read_few_buckets_of_the_queue(
    crowded: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only for the response; how many there are makes no difference, and those beyond are not seen."""
    monkeypatch.setattr("taskmill.operations.queues._MOST_BUCKETS_OF_ONE", 3)
    last = await crowded.sql.fetchval(
        "SELECT max(type) FROM taskmill.dispatch WHERE queue = 'queue-0'"
    )
    move = "UPDATE taskmill.dispatch SET run_at = run_at + $1 WHERE queue = 'queue-0' AND type = $2"
    await crowded.sql.execute(move, timedelta(days=-1), last)
    paused = await crowded.service.set_queue_paused("queue-0", paused=True)
    resumed = await crowded.service.set_queue_paused("queue-0", paused=False)
    await crowded.sql.execute(move, timedelta(days=1), last)
    assert paused.paused_at is not None
    for change in (paused, resumed):
        assert change.oldest_due_at is not None
        assert crowded.clock.now() - change.oldest_due_at < timedelta(hours=1)


async def test_a_worker_finds_its_own_tasks_among_very_many_names(crowded: Stage) -> None:
    mine = await crowded.created(type="mine", queue="queue-0")
    lease = await crowded.open_lease()
    transport = a_transport(crowded, Handlers({"mine": _never}), WorkerOptions())
    taken = await transport.take(lease, 10)
    while not taken:
        await transport.wait()
        taken = await transport.take(lease, 10)
    assert [one.task.id for one in taken] == [mine.id]
    await crowded.sql.execute("UPDATE taskmill.lease SET expires_at = now() WHERE id = $1", lease)


async def _never(_: object) -> None:
    raise AssertionError


async def _spread(stage: Stage) -> set[str]:
    """Make a task of each of twelve types, in three queues; return their ids."""
    made = [await stage.created(type=f"type-{n}", queue=f"queue-{n % 3}") for n in range(12)]
    return {str(task.id) for task in made}


async def test_buckets_beyond_one_scan_are_claimed_too(stage: Stage) -> None:
    left, lease = await _spread(stage), await stage.open_lease()
    transport = a_transport(stage, Handlers({"*": _never}), WorkerOptions(poll_s=0.01))
    transport._scan = BucketScan(most=2)
    async with asyncio.timeout(30):
        while left:
            left -= {str(one.task.id) for one in await transport.take(lease, 3)}
            await transport.wait()


def _a_call(*types: str) -> LeaseRequest:
    return LeaseRequest(
        worker="w", queues=frozenset(), types=frozenset(types), limit=1, ttl_s=60, wait_s=0
    )


async def test_a_pull_ends_empty_only_after_all_buckets_were_read(stage: Stage) -> None:
    left, pull, stop = await _spread(stage), a_pull(stage.database), asyncio.Event()
    pull._claims._scan = BucketScan(most=2)
    wanted = _a_call("type-2", "type-5", "type-11")
    async with asyncio.TaskGroup() as group:
        group.create_task(pull.run(stop))
        for _ in range(3):
            lease = await pull.claim(wanted)
            assert lease is not None
            left -= {str(task.id) for task in lease.tasks}
        assert await pull.claim(wanted) is None
        stop.set()
    assert len(left) == 9


async def test_pulls_that_overlap_see_all_buckets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one of them gets, or where the scan was when it came, decides nothing for the other."""
    await _spread(stage)
    pull, stop = a_pull(stage.database), asyncio.Event()
    scan = pull._claims._scan = BucketScan(most=2)
    scan_once = scan.scan
    late = list[asyncio.Task[RemoteLease | None]]()

    async def scanning(
        database: Database, *, types: set[str] | None, queues: set[str] | None
    ) -> dict[Bucket, FirstWaiting]:
        if len(late) == 0 and scan._after[0] == "queue-1":
            late.append(group.create_task(pull.claim(_a_call("type-9"))))
            await asyncio.sleep(0)
        return await scan_once(database, types=types, queues=queues)

    monkeypatch.setattr(scan, "scan", scanning)
    async with asyncio.TaskGroup() as group:
        early = [group.create_task(pull.claim(_a_call(f"type-{n}"))) for n in (0, 11, 99)]
        await asyncio.sleep(0)
        group.create_task(pull.run(stop))
        leases = [await one for one in early]
        leases += [await one for one in late]
        stop.set()
    assert [[task.type for task in lease.tasks] if lease else [] for lease in leases] == [
        ["type-0"],
        ["type-11"],
        [],
        ["type-9"],
    ]


async def test_a_pull_gets_what_is_due_next_whichever_scan_found_it(
    stage: Stage,
) -> None:
    """Not only what the last scan found."""
    pull, stop = a_pull(stage.database, PullSettings(poll_s=3_600)), asyncio.Event()
    pull._claims._scan = BucketScan(most=1)
    soon = stage.clock.now() + timedelta(seconds=1)
    await stage.created(type="soon", run_at=soon)
    await stage.created(type="soon-not", run_at=soon + timedelta(hours=1))
    wanted = replace(_a_call("soon", "soon-not"), wait_s=60)
    async with asyncio.TaskGroup() as group, asyncio.timeout(30):
        group.create_task(pull.run(stop))
        lease = await pull.claim(wanted)
        stop.set()
    assert lease is not None
    assert [task.type for task in lease.tasks] == ["soon"]


@pytest.mark.parametrize("is_paused", [False, True])
async def test_no_name_counts_as_the_last_of_all(stage: Stage, *, is_paused: bool) -> None:
    """In Danish aa comes after z, in Estonian t to y do; here `~` stands for them."""
    kinds = ("a", "mine", "t1", "t2", "t3")
    made = [await stage.created(queue=queue, type=kind) for queue in "qrs" for kind in kinds]
    await stage.sql.execute("UPDATE taskmill.dispatch SET queue = '~s' WHERE queue = 's'")
    await stage.sql.execute("UPDATE taskmill.dispatch SET type = '~' || type WHERE type LIKE 't_'")
    if is_paused:
        await stage.service.set_queue_paused("r", paused=True)
    scan = BucketScan(most=len(made))
    found = await scan.scan(stage.database, types={"mine"})
    assert scan.is_complete
    assert {bucket.queue for bucket in found} == {"q", "~s"} | (set() if is_paused else {"r"})
    found = await scan.scan(stage.database, types={"mine"}, queues={"~s", "r"})
    assert scan.is_complete
    assert {bucket.queue for bucket in found} == {"~s"} | (set() if is_paused else {"r"})


async def test_an_idle_relay_polls_often_when_one_scan_does_not_see_all(stage: Stage) -> None:
    """What is due next may be in another scan than the last one."""
    idle_backoff = IdleBackoff(stage.clock)
    idle_backoff.set_notified(is_notified=True)
    idle_backoff._active_at = float("-inf")
    relay = HintSender(
        stage.database,
        broker_url="amqp://127.0.0.1:1",
        clock=stage.clock,
        idle_backoff=idle_backoff,
    )
    await stage.open_lease()
    for kind in ("a", "b"):
        await stage.created(type=kind, run_at=stage.clock.now() + timedelta(hours=1))
    await relay._round()
    assert relay._until_next_due() == IDLE_PAUSE_S
    relay._scan = BucketScan(most=1)
    await relay._round()
    while not relay._scan.is_at_end:
        await relay._round()
    assert relay._until_next_due() <= 0.2
