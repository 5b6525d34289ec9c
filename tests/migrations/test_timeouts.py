"""A migration's statements have short timeouts; what takes longer is outside its transaction and stops nobody."""

import asyncio
import subprocess
from pathlib import Path

import asyncpg

from tests.support.migrating import apart, applied, fetch_rows, run_module, with_more
from tests.support.polling import eventually

NOTE_TIMEOUTS = """
    op.execute(
        "CREATE TABLE taskmill.timeouts AS "
        "SELECT current_setting('lock_timeout'), current_setting('statement_timeout') AS other"
    )
"""
# As in CONTRIBUTING.md.
LONG_STEP = '''
    with op.get_context().autocommit_block():
        op.execute("-- Nobody waits for what follows.\\nSET lock_timeout = '10min'")
        op.execute("SET statement_timeout = '1h'")
        op.execute("""
            DO $$
            BEGIN
                LOOP
                    UPDATE taskmill.queue SET resumed_at = now() WHERE name IN (
                        SELECT name FROM taskmill.queue WHERE resumed_at IS NULL LIMIT 1);
                    EXIT WHEN NOT FOUND;
                    COMMIT;
                END LOOP;
            END $$
        """)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS taskmill.queue_resumed")
        op.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS queue_resumed ON taskmill.queue (resumed_at)"
        )
'''
# As in env.py.
LOCK = "SELECT pg_advisory_lock(x'7461736B'::integer)"
OTHERS = """
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
INDEX = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'taskmill.queue_resumed'::regclass"


def upgrade(url: str, migrations: Path) -> subprocess.CompletedProcess[str]:
    """Run these migrations in a process of their own."""
    ini = migrations / "alembic.ini"
    ini.write_text(f"[alembic]\nscript_location = {migrations}\n", encoding="utf-8")
    return run_module(url, "alembic", "--config", str(ini), "upgrade", "head")


async def test_every_migration_has_short_timeouts(database_url: str, tmp_path: Path) -> None:
    copy = with_more(tmp_path, LONG_STEP, NOTE_TIMEOUTS)
    done = await apart(upgrade, database_url, copy)
    assert done.returncode == 0, done.stderr
    assert await fetch_rows(database_url, "SELECT * FROM taskmill.timeouts") == [("2s", "5s")]


async def test_a_long_step_needs_no_transaction_and_others_that_migrate_wait_for_it(
    database_url: str, tmp_path: Path
) -> None:
    """PostgreSQL makes an index concurrently when nobody has a snapshot of before: who waits must not have one."""
    await fetch_rows(database_url, "INSERT INTO taskmill.queue (name) VALUES ('a'), ('b')")
    copy = with_more(tmp_path, LONG_STEP)
    holder = await asyncpg.connect(database_url)
    await holder.execute(LOCK)

    async def both_wait() -> bool:
        return len(await holder.fetch(OTHERS)) == 2

    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(apart(upgrade, database_url, copy)) for _ in range(2)]
        await eventually(both_wait, "both to wait", timeout_s=30)
        await holder.close()
    for run in runs:
        assert run.result().returncode == 0, run.result().stderr
    assert await applied(database_url) == "9001"
    assert await fetch_rows(database_url, INDEX) == [(True,)]
    assert (
        await fetch_rows(database_url, "SELECT FROM taskmill.queue WHERE resumed_at IS NULL") == []
    )
