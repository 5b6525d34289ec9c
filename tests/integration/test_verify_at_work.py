"""Verify during work, retention and trouble: no false findings, and nothing has to wait."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from taskmill.domain.checks import Check, Finding
from taskmill.domain.errors import ConfigurationError, TooLarge, TransitionRefused, Unavailable
from taskmill.domain.lifecycle import Cancelled, Failed, Interrupted, Lost, Outcome, Succeeded
from taskmill.maintenance.retention import numbering
from taskmill.storage import changes, counts, week_drops
from taskmill.storage.database import Database
from taskmill.storage.verification import Snapshot, snapshot
from taskmill.wire.messages import CreationMessage, refused_message
from tests.support.builders import ERROR, a_draft, a_key
from tests.support.housekeeping import housekeeping
from tests.support.mixture import a_mixture
from tests.support.polling import eventually
from tests.support.role_database import RoleDatabase
from tests.support.stage import SETTINGS, Stage
from tests.support.verifying import VerificationRecord, found_in, verification_of

OUTCOMES: tuple[Outcome, ...] = (
    Succeeded(),
    Failed(error=ERROR),
    Interrupted(),
    Lost(),
    Cancelled(),
)


async def work(stage: Stage, name: str) -> None:
    """Create, claim, end, cancel and retry, as one process of several."""
    lease = await stage.open_lease(worker=name)
    dice = random.Random(name)  # noqa: S311 - no secret
    for _ in range(12):
        keyed = a_draft(idempotency=a_key(f"{name}-{dice.random()}"), max_losses=1)
        drafts = [a_draft(queue=dice.choice("ab"), max_attempts=2) for _ in range(4)]
        made = await stage.creation.create_all([keyed, *drafts])
        taken = await stage.take(lease, 4)
        for one in (made[0].task.id, *(running.task.id for running in taken[:1])):
            with suppress(TransitionRefused):  # others may have been quicker
                await stage.service.cancel(one)
        for running in taken:
            await stage.end(running, lease, dice.choice(OUTCOMES))
        with suppress(TransitionRefused):
            await stage.service.retry(made[0].task.id)


def in_small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read even a small database in many parts."""
    for name, value in (("_TASKS_AT_ONCE", 7), ("_ROWS_AT_ONCE", 3), ("_CHANGES_IN_RANGE", 40)):
        monkeypatch.setattr(f"taskmill.operations.verify.{name}", value)
    monkeypatch.setattr("taskmill.storage.verification._ENTRIES_AT_ONCE", 10)


async def test_nothing_is_found_while_others_work(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_small_parts(monkeypatch)
    stop = asyncio.Event()
    wrong: list[object] = []

    async def keep(duty: Callable[[], Awaitable[bool | None]]) -> None:
        while not stop.is_set():
            await duty()

    async def verify_again_and_again() -> None:
        verifier = RoleDatabase(stage.url, SETTINGS)
        while not stop.is_set():
            record = VerificationRecord()
            verification = await verification_of(verifier, record)
            wrong.extend(record.findings)
            assert verification.unchecked == ()
        await verifier.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(verify_again_and_again())
        group.create_task(keep(lambda: counts.fold(stage.maintenance_database)))
        group.create_task(keep(numbering(stage.maintenance_database)))
        async with asyncio.TaskGroup() as workers:
            for number in range(3):
                workers.create_task(work(stage, f"w{number}"))
        stop.set()
    assert wrong == []
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task_history") > 500
    assert await found_in(stage.database) == {}


async def test_the_same_is_found_in_small_parts_as_in_a_large_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_mixture(stage)
    for key in range(10):
        await stage.created(idempotency=a_key(f"{key}"))
    await stage.sql.execute("""
        SET session_replication_role = replica;
        UPDATE taskmill.task SET losses = losses + 1 WHERE final_status = 'succeeded';
        DELETE FROM taskmill.dispatch;
        UPDATE taskmill.idempotency SET task_id = gen_random_uuid() WHERE key < '5';
        UPDATE taskmill.change_batch SET position = NULL WHERE position % 5 = 2;
        UPDATE taskmill.rejection SET resent_at = now();
        DELETE FROM taskmill.task_event WHERE event = 'created';
        DELETE FROM taskmill.task WHERE final_status = 'failed';
    """)
    at_once = await found_in(stage.database)
    assert len(at_once) >= 8
    in_small_parts(monkeypatch)
    assert await found_in(stage.database) == at_once


async def test_a_task_that_was_deleted_by_hand_is_missed_wherever_it_is_referred_to(
    stage: Stage,
) -> None:
    mixture = await a_mixture(stage)
    for table, column in (("task", "id"), ("task_event", "task_id"), ("dispatch", "task_id")):
        await stage.sql.execute(
            f"DELETE FROM taskmill.{table} WHERE {column} = $1",  # noqa: S608 - our own
            mixture.tasks["waiting"],
        )
    assert await found_in(stage.database) == {
        Check.COUNTER_DRIFT: 1,
        Check.KEY_WITHOUT_TASK: 1,
        Check.CHANGE_UNKNOWN: 1,
    }


async def test_only_tasks_of_the_given_time_are_checked_and_no_counters(stage: Stage) -> None:
    mixture = await a_mixture(stage)
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute(
        "UPDATE taskmill.task SET losses = 1 WHERE id = $1", mixture.tasks["failed"]
    )
    await stage.sql.execute("INSERT INTO taskmill.task_count VALUES ('default', 'new', 7)")
    record = VerificationRecord()
    verification = await verification_of(stage.database, record, since=timedelta(hours=1))
    assert verification.counts == {Check.ROW_DRIFT: 1}
    assert record.expected is None
    verification = await verification_of(stage.database, since=timedelta(0))
    assert (verification.tasks, verification.entries, verification.counts) == (0, 0, {})


async def test_an_empty_database_is_sound(stage: Stage) -> None:
    verification = await verification_of(stage.database)
    assert (verification.tasks, verification.counts, verification.violations) == (0, {}, 0)


async def test_history_without_any_task_is_found(stage: Stage) -> None:
    await stage.created()
    await stage.sql.execute("DELETE FROM taskmill.task; DELETE FROM taskmill.task_count")
    assert await found_in(stage.database) == {
        Check.HISTORY_WITHOUT_TASK: 1,
        Check.DISPATCH_SURPLUS: 1,
    }


async def age(stage: Stage, span: timedelta) -> None:
    """Make everything so much older."""
    moments = {
        "task": ("run_at", "created_at", "started_at", "finished_at", "updated_at"),
        "task_event": ("at", "run_at", "claimed_at", "claimed_run_at"),
        "dispatch": ("run_at",),
        "running": ("started_at", "cancel_requested_at", "run_at"),
        "change_batch": ("at",),
    }
    await stage.sql.execute("SET session_replication_role = replica")
    for table, columns in moments.items():
        changes_ = ", ".join(f"{column} = {column} - $1::interval" for column in columns)
        await stage.sql.execute(f"UPDATE taskmill.{table} SET {changes_}", span)  # noqa: S608 - our own


async def test_changes_that_were_forgotten_are_not_missed(stage: Stage) -> None:
    await a_mixture(stage)
    numbered = await stage.sql.fetchval("SELECT max(position) FROM taskmill.change_batch")
    await age(stage, timedelta(days=8))
    await housekeeping(stage)
    assert await stage.sql.fetchval("SELECT min(position) FROM taskmill.change_batch") == numbered
    await stage.created()
    await changes.number(stage.maintenance_database, 1000)
    assert await found_in(stage.database) == {}


async def test_at_the_edge_of_the_pruned_feed_holes_are_no_damage(stage: Stage) -> None:
    for _ in range(6):
        await stage.created()
    await changes.number(stage.maintenance_database, 100)
    await stage.sql.execute("""
        UPDATE taskmill.change_batch SET at = now() - interval '7 days' WHERE position <= 3;
        DELETE FROM taskmill.change_batch WHERE position IN (1, 3);
    """)
    record = VerificationRecord()
    await verification_of(stage.database, record)
    assert [f.subject for f in record.findings if f.check is Check.POSITION_GAP] == ["position 3"]
    await stage.sql.execute(
        "UPDATE taskmill.change_batch SET at = now() - interval '6 days 23 hours 30 minutes' "
        "WHERE position = 4"
    )
    assert Check.POSITION_GAP not in await found_in(stage.database)
    await stage.sql.execute("UPDATE taskmill.change_batch SET position = 1 WHERE position = 2")
    assert Check.POSITION_GAP not in await found_in(stage.database)


async def test_what_a_dropped_week_leaves_behind_is_no_damage(stage: Stage) -> None:
    lease = await stage.open_lease()
    await stage.created(idempotency=a_key())
    service = stage.service.rejections
    refused = refused_message(CreationMessage(body=b'{"name": "a"}'), TooLarge(1))
    [rejection] = await service.store(service.with_ids([refused]))
    await service.resend(rejection)
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Succeeded())
    assert await found_in(stage.database) == {}
    later = stage.clock.now() + timedelta(weeks=9)
    assert await week_drops.drop_finished(stage.maintenance_database, later, timedelta(0))
    record = VerificationRecord()
    verification = await verification_of(stage.database, record)
    assert (verification.tasks, record.findings) == (0, [])
    fed = await stage.sql.fetchval("SELECT count(*) FROM taskmill.change_batch")
    assert fed > 0


async def test_no_week_is_dropped_while_a_part_is_read(stage: Stage) -> None:
    lease = await stage.open_lease()
    made = await stage.created(idempotency=a_key())
    for taken in await stage.take(lease):
        await stage.end(taken, lease, Succeeded())
    verifier = RoleDatabase(stage.url, SETTINGS)

    async def drop() -> None:
        later = stage.clock.now() + timedelta(weeks=9)
        await week_drops.drop_finished(stage.maintenance_database, later, timedelta(0))

    async def waits() -> bool:
        return bool(await stage.sql.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    async with asyncio.TaskGroup() as group, snapshot(verifier) as opened:
        group.create_task(drop())
        await eventually(waits, "the drop waits", timeout_s=1.5)
        # A key goes before its task, never after it.
        assert all(key.has_task for key in await opened.keys(("", ""), 10))
        assert [checked.row.id for checked in await opened.tasks(UUID(int=0), made.id, 10)] == [
            made.id
        ]
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.task") == 0
    assert await found_in(verifier) == {}
    await verifier.close()


async def test_a_part_ends_at_its_last_task_whatever_follows(stage: Stage) -> None:
    ids = [(await stage.created()).id for _ in range(4)]
    async with snapshot(stage.database) as opened:
        tasks = await opened.tasks(ids[0], ids[2], 10)
        assert [task.row.id for task in tasks] == ids[1:3]
        parts = [entries async for entries in opened.entries(ids[0], ids[2])]
        assert [entry.task_id for entries in parts for entry in entries] == ids[1:3]


class Beginning(VerificationRecord):
    """Does something as soon as a verification has started."""

    def __init__(self, does: Callable[[], object]) -> None:
        super().__init__()
        self._does = does

    def started(self, tasks: int | None) -> None:
        super().started(tasks)
        self._does()


async def test_what_takes_too_long_is_reported_and_all_else_is_checked(stage: Stage) -> None:
    await a_mixture(stage)
    await stage.sql.execute("DELETE FROM taskmill.lease")

    async def lock() -> None:
        await stage.sql.execute("BEGIN; LOCK TABLE taskmill.task_count IN ACCESS EXCLUSIVE MODE")

    async with asyncio.TaskGroup() as group:
        record = Beginning(lambda: group.create_task(lock()))
        verification = await verification_of(stage.database, record, timeout_s=0.5)
        await stage.sql.execute("ROLLBACK")
    assert verification.unchecked == ("the counters",)
    assert verification.counts == {Check.LEASE_MISSING: 2}


async def test_a_database_that_is_away_or_has_no_or_another_schema_is_reported(
    stage: Stage, empty_database_url: str
) -> None:
    empty = RoleDatabase(empty_database_url, SETTINGS)
    with pytest.raises(ConfigurationError, match="taskmill migrate"):
        await verification_of(empty)
    await empty.close()
    await stage.sql.execute("ALTER TABLE taskmill.lease RENAME TO rented")
    verification = await verification_of(stage.database)
    assert verification.broken_off == 'relation "taskmill.lease" does not exist'
    away = Database("postgresql://nobody@127.0.0.1:1/nothing", SETTINGS)
    with pytest.raises(Unavailable):
        await verification_of(away)
    await away.close()


@pytest.mark.parametrize("gone", ["the newest", "all"])
async def test_tasks_that_only_the_feed_has_are_missed(stage: Stage, gone: str) -> None:
    remaining = [] if gone == "all" else [(await stage.created()).id]
    for _ in range(3):
        await stage.created()
    await stage.sql.execute("SET session_replication_role = replica")
    for table, column in (("task", "id"), ("task_event", "task_id"), ("dispatch", "task_id")):
        await stage.sql.execute(
            f"DELETE FROM taskmill.{table} WHERE NOT {column} = ANY($1)",  # noqa: S608 - our own
            remaining,
        )
    await stage.sql.execute("INSERT INTO taskmill.task_count VALUES ('default', 'new', -3)")
    assert await found_in(stage.database) == {Check.CHANGE_UNKNOWN: 3}
    verification = await verification_of(stage.database, since=timedelta(days=1))
    assert verification.counts == {Check.CHANGE_UNKNOWN: 3}


async def test_a_listener_may_be_slow(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """No snapshot is open while a finding is reported."""
    mixture = await a_mixture(stage)
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute("UPDATE taskmill.task SET losses = 1 WHERE final_status = 'succeeded'")
    await stage.sql.execute("DELETE FROM taskmill.task WHERE id = $1", mixture.tasks["waiting"])
    opened = []

    @asynccontextmanager
    async def counted(database: Database, *, as_of: datetime | None) -> AsyncIterator[Snapshot]:
        async with snapshot(database, as_of=as_of) as one:
            opened.append(one)
            yield one
            opened.remove(one)

    class Reader(VerificationRecord):
        def found(self, finding: Finding) -> None:
            super().found(finding)
            assert not opened

    monkeypatch.setattr("taskmill.storage.verification.snapshot", counted)
    reader = Reader()
    await verification_of(stage.database, reader)
    assert {finding.check for finding in reader.findings} >= {
        Check.ROW_DRIFT,
        Check.HISTORY_WITHOUT_TASK,
    }


async def test_it_writes_nothing_and_waits_for_no_row_lock(stage: Stage) -> None:
    mixture = await a_mixture(stage)
    # PostgreSQL's own housekeeping may take a number in between, but not every time.
    wrote = [await numbers_taken(stage, mixture.tasks["waiting"]) for _ in range(5)]
    assert (1, 2) in wrote, "only this test's own transactions wrote"


NUMBER = "SELECT pg_current_xact_id()::text::bigint"


async def numbers_taken(stage: Stage, waiting: UUID) -> tuple[int, int]:
    """Verify while rows are locked and changed; return how many transactions wrote until then, and after."""
    before: int = await stage.sql.fetchval(NUMBER)
    change = stage.sql.transaction()
    await change.start()
    await stage.sql.execute(
        "SELECT FROM taskmill.task, taskmill.dispatch, taskmill.running, taskmill.lease FOR UPDATE"
    )
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET queue = queue WHERE task_id = $1", waiting
    )
    assert await found_in(stage.database) == {}
    mine: int = await stage.sql.fetchval(NUMBER)
    await change.rollback()
    after: int = await stage.sql.fetchval(NUMBER)
    return mine - before, after - before
