"""Faults of PostgreSQL: killed, frozen, full, its sessions terminated, its rows and tables locked."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import asyncpg

from tests.chaos.checker import Sql
from tests.chaos.faults.scene import Fault, Scene, within
from tests.chaos.site import LEASE_TTL_S
from tests.support.polling import eventually

_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
# The tables that statements write.
_TABLES = (
    *("task", "dispatch", "running", "lease"),
    *("task_event", "idempotency", "task_count", "change_batch"),
)
# An operator's CREATE INDEX blocks all writers, and an operator's ALTER TABLE everybody.
_LOCKS = ("SHARE", "ACCESS EXCLUSIVE")


# Claims of these tasks wait: only the end of this transaction shows whether they run already.
_PRETEND_TO_RUN = """
INSERT INTO taskmill.running (
    task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by
)
SELECT task_id, gen_random_uuid(), 1, 1, 2, queue, 1, 0, run_at, 'nobody' FROM taskmill.dispatch
ON CONFLICT DO NOTHING
RETURNING task_id
"""


class DatabaseFaults:
    """Faults of the server; it is killed, frozen or filled by one at a time."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._site = scene.site
        self._dice = scene.dice

    def all(self) -> Mapping[str, Fault]:
        """Return all faults by name."""
        return {
            "backends_terminated": self._terminate_backends,
            "database_killed": self._kill,
            "database_stopped": self._stop,
            "database_frozen": self._freeze,
            "rows_locked": self._lock_rows,
            "table_locked": self._lock_a_table,
            "disk_full": self._fill_disk,
        }

    async def heal(self) -> None:
        """Make the server run and serve again."""
        self._site.thaw_database()
        await self._revive()

    async def _terminate_backends(self) -> bool:
        rows = await self._fetch(
            "SELECT pid, pg_terminate_backend(pid) AS is_signalled FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.7"
        )
        signalled = [row["pid"] for row in rows or () if row["is_signalled"]]
        alive = await self._fetch("SELECT pid FROM pg_stat_activity WHERE pid = ANY($1)", signalled)
        return alive is not None and len(alive) < len(signalled)

    async def _kill(self) -> bool:
        return await self._end_server(
            self._site.kill_database, self._dice.choice((0, 0.5, 2 * LEASE_TTL_S))
        )

    async def _stop(self) -> bool:
        return await self._end_server(self._site.stop_database, self._dice.uniform(0, 1))

    async def _end_server(self, harm: Callable[[], None], seconds: float) -> bool:
        async with self._scene.alone_with("database"):
            did_run = self._site.database_runs
            harm()
            has_ended = await within(5, lambda: not self._site.database_runs)
            await asyncio.sleep(seconds)
            await self._revive()
        return did_run and has_ended

    async def _freeze(self) -> bool:
        """Suspend all its processes: connections are accepted, and nothing responds."""
        async with self._scene.alone_with("database"):
            is_frozen = self._site.freeze_database()
            await asyncio.sleep(self._dice.choice((1, 3, 2.5 * LEASE_TTL_S, 9)))
            self._site.thaw_database()
            await self._revive()
        return is_frozen

    async def _revive(self) -> None:
        async def responds() -> bool:
            self._site.revive_database()
            return await self._fetch("SELECT 1") is not None

        await eventually(responds, "the database to serve", timeout_s=60)

    async def _lock_rows(self) -> bool:
        """Hold up claims of what waits, so that they are under way while the lease of their worker expires."""
        is_hit = False
        async with self._scene.a_member("worker") as member:
            with suppress(*_AWAY):
                async with self._a_connection() as sql:
                    await sql.execute("BEGIN")
                    if await sql.fetch(_PRETEND_TO_RUN, timeout=3):
                        await asyncio.sleep(LEASE_TTL_S / 8)
                        is_hit = member.signal(self._dice.choice((signal.SIGSTOP, signal.SIGKILL)))
                        await asyncio.sleep(LEASE_TTL_S * self._dice.uniform(1, 1.6))
                    await sql.execute("ROLLBACK")
            if is_hit:
                await asyncio.sleep(LEASE_TTL_S)
            member.signal(signal.SIGCONT)
            await self._scene.start(member)
        return is_hit

    async def _lock_a_table(self) -> bool:
        table, mode = self._dice.choice(_TABLES), self._dice.choice(_LOCKS)
        seconds = self._dice.choice((1, 3, 6))
        with suppress(*_AWAY):
            async with self._a_connection() as sql, sql.transaction():
                await sql.execute(f"LOCK TABLE taskmill.{table} IN {mode} MODE", timeout=3)
                # The server would terminate a session that is idle in its transaction.
                await sql.execute("SELECT pg_sleep($1)", seconds, timeout=seconds + 3)
                return True
        return False

    async def _fill_disk(self) -> bool:
        async with self._scene.alone_with("database"):
            is_full = await asyncio.to_thread(self._site.fill_disk)
            await asyncio.sleep(self._dice.uniform(1, 3))
            self._site.empty_disk()
            await self._revive()
        return is_full

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record] | None:
        """Run a statement without an edge; None if the database is away."""
        with suppress(*_AWAY):
            async with self._a_connection() as sql:
                rows: list[asyncpg.Record] = await sql.fetch(statement, *arguments, timeout=3)
                return rows
        return None

    @asynccontextmanager
    async def _a_connection(self) -> AsyncIterator[Sql]:
        sql = await asyncpg.connect(self._site.database_url, timeout=3)
        try:
            yield sql
        finally:
            sql.terminate()
