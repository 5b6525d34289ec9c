"""The migration that moves what runs: nothing is lost or changed, and it can be killed anywhere."""

import asyncio
import os
import sys

import asyncpg

from taskmill.storage import migrate
from tests.support.migrating import ROOT, apart, applied, downgrade, fetch_rows, run_module
from tests.support.polling import eventually

# More than two batches. Every tenth has a lease, every third of these a request to cancel.
MADE = """
    CREATE FUNCTION public.made() RETURNS void LANGUAGE sql SET session_replication_role = replica AS $$
        INSERT INTO taskmill.task (
            id, name, type, queue, priority, status, attempt, max_attempts, losses, max_losses, run_at,
            created_at, started_at, finished_at, updated_at, labels, source, version, claim_no, lease_id,
            cancel_requested
        )
        SELECT
            ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'task ' || n, 't', 'q' || n % 3, 4,
            CASE kind WHEN 0 THEN 'in_progress' WHEN 1 THEN 'succeeded' WHEN 2 THEN 'failed' ELSE 'new' END,
            CASE kind WHEN 0 THEN 2 ELSE 1 END, 3, 0, 3, at, at, CASE WHEN kind < 3 THEN at END,
            CASE WHEN kind IN (1, 2) THEN at END, at, '{}', 'rest',
            CASE kind WHEN 0 THEN 4 + (n % 3 = 0)::integer ELSE 3 END, CASE kind WHEN 0 THEN 2 ELSE 1 END,
            CASE kind WHEN 0 THEN gen_random_uuid() END, kind = 0 AND n % 3 = 0
        FROM generate_series(1, 16000) AS n,
            LATERAL (SELECT n % 10 AS kind, now() - interval '1 h' AS at) AS facts;
        INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
        SELECT id, queue, type, priority, run_at FROM taskmill.task WHERE status = 'new'
    $$
"""
FACTS = (
    "SELECT id, status, run, attempt, losses, claim_no, version, lease_id, cancel_requested, started_at, "
    "finished_at, updated_at, run_at FROM taskmill.{table} ORDER BY id"
)
UNDONE = "SELECT count(*) FROM taskmill.task WHERE final_status IN ('new', 'in_progress')"


WAITING = """
    CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NEW; END
    $$;
    CREATE TRIGGER waits BEFORE UPDATE ON taskmill.task FOR EACH ROW
    WHEN (NEW.number = 15999) EXECUTE FUNCTION public.wait();
    SELECT pg_advisory_lock(77)
"""
OTHERS = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' "
    "AND pid <> pg_backend_pid()"
)

TABLES = (
    "SELECT relname::text FROM pg_class WHERE relnamespace = 'taskmill'::regnamespace ORDER BY 1"
)


async def eventually_alone(url: str) -> None:
    async def is_alone() -> bool:
        return not await fetch_rows(url, OTHERS)

    await eventually(is_alone, "the other sessions to end")


async def filled(url: str) -> None:
    await apart(migrate.upgrade, url, "0028")
    await fetch_rows(url, MADE)
    await fetch_rows(url, "SELECT public.made()")


async def killed_half_way(url: str) -> None:
    """Migrate in a process that is killed, with its session, while that waits with the last batch."""
    holder = await asyncpg.connect(url)
    await holder.execute(WAITING)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "taskmill", "migrate"),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "TASKMILL_DATABASE_URL": url},  # noqa: TID251 - for the child
    )

    async def is_in_the_last_batch() -> bool:
        return bool(await fetch_rows(url, "SELECT FROM pg_locks WHERE NOT granted"))

    await eventually(is_in_the_last_batch, "a migration that waits", timeout_s=60)
    process.kill()
    await process.wait()
    await holder.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
    await holder.execute("SELECT pg_advisory_unlock(77); DROP FUNCTION public.wait CASCADE")
    await holder.close()


async def test_a_migration_that_is_killed_half_way_goes_on_where_it_was(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    await filled(url)
    before = await fetch_rows(url, FACTS.format(table="task"))
    await killed_half_way(url)
    await eventually_alone(url)
    assert await applied(url) == "0028"
    [(undone,)] = await fetch_rows(url, UNDONE)
    assert 0 < undone <= 5000
    await apart(migrate.upgrade, url, "0029")
    assert await fetch_rows(url, FACTS.format(table="current_task")) == before
    [(running, waiting)] = await fetch_rows(
        url,
        "SELECT (SELECT count(*) FROM taskmill.running), "
        "(SELECT count(*) FROM taskmill.task WHERE final_status IS NULL)",
    )
    assert (running, waiting) == (1600, 12800)


CONNECTED = "processes of Taskmill are connected: stop them first, then migrate"


async def test_it_begins_when_no_process_is_connected(empty_database_url: str) -> None:
    """Nor does it go on beside one: that would claim what is not moved yet."""
    url = empty_database_url
    await apart(migrate.upgrade, url, "0028")
    tables = await fetch_rows(url, TABLES)
    process = await asyncpg.connect(url, server_settings={"application_name": "taskmill"})
    for arguments, lead in (
        (("taskmill", "migrate"), "Error: "),
        (("alembic", "upgrade", "0029"), "FAILED: "),
    ):
        done = await apart(run_module, url, *arguments)
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
        assert lines == [lead + CONNECTED]
        assert done.returncode != 0
    assert (await applied(url), await fetch_rows(url, TABLES)) == ("0028", tables)
    await process.close()
    await eventually_alone(url)
    # A name of its own in the address doesn't count.
    await apart(
        migrate.upgrade, f"{url}{'&' if '?' in url else '?'}application_name=taskmill", "0029"
    )


async def test_what_ran_before_the_migration_ends_after_it(empty_database_url: str) -> None:
    """The guard finds the row of `task` as it was before the claim."""
    url = empty_database_url
    await filled(url)
    await apart(migrate.upgrade, url, "0029")
    ended = await fetch_rows(
        url,
        """
        WITH freed AS (DELETE FROM taskmill.running RETURNING task_id, claim_no, attempt, version)
        UPDATE taskmill.task AS t
        SET final_status = 'succeeded', finished_at = now(), claim_no = f.claim_no, attempt = f.attempt,
            version = f.version + 1
        FROM freed AS f WHERE t.id = f.task_id RETURNING t.id
        """,
    )
    assert len(ended) == 1600


async def test_a_step_back_makes_the_same_tasks_of_it(empty_database_url: str) -> None:
    url = empty_database_url
    await filled(url)
    before = await fetch_rows(url, FACTS.format(table="task"))
    await apart(migrate.upgrade, url, "0029")
    # Damage that `verify` reports as well: a row for a task that has ended.
    await fetch_rows(
        url,
        """
        INSERT INTO taskmill.running (task_id, lease_id, claim_no, attempt, version, queue)
        SELECT id, gen_random_uuid(), 9, 9, 9, queue FROM taskmill.task WHERE final_status = 'failed' LIMIT 1
        """,
    )
    await apart(downgrade, url, "0028")
    assert await fetch_rows(url, FACTS.format(table="task")) == before


async def test_a_step_back_waits_for_its_locks_longer_than_others(empty_database_url: str) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, "0029")
    holder = await asyncpg.connect(url)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("LOCK TABLE taskmill.task IN ACCESS SHARE MODE")
    async with asyncio.TaskGroup() as group:
        group.create_task(apart(downgrade, url, "0028"))
        await asyncio.sleep(3)
        await transaction.rollback()
    await holder.close()
    assert await applied(url) == "0028"
