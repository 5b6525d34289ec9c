"""Whether the database accepts writes: a probe inserts a task, rolls back, and commits an empty transaction.

A database can serve every read and accept no write: a lock on a table, a missing synchronous standby, a full disk.
It is probed only when writes are in doubt, so that an idle system pays nothing.
"""

import asyncio
from time import perf_counter
from typing import Final

import asyncpg

from taskmill.domain import identity
from taskmill.domain.task import TaskDraft
from taskmill.observability.logs import get_logger
from taskmill.runtime.ids import IdFactory
from taskmill.storage import faults, tasks
from taskmill.storage.database import Database
from taskmill.storage.tasks import NewTask

log = get_logger(__name__)

_PROBE_TIMEOUT_S: Final = 1.0
_LOCK_TIMEOUT_MS: Final = 500
_MIN_INTERVAL_S: Final = 0.5


class Writability:
    """Checks whether this process's database accepts writes."""

    def __init__(self, database: Database, ids: IdFactory) -> None:
        self._database = database
        self._ids = ids
        self._probing = asyncio.Lock()
        self._probed_at = float("-inf")
        self._trouble: str | None = None

    async def trouble(self) -> str | None:
        """Return why nothing can be written, None if writes work; probes only when that is in doubt."""
        if not self._database.writes.is_in_doubt:
            self._record(None)
            return None
        return await self.probe()

    async def probe(self) -> str | None:
        """Try to write; return why that fails, None if it works. It takes a second or two at most."""
        async with self._probing:
            if perf_counter() - self._probed_at > _MIN_INTERVAL_S:
                self._record(await self._try())
                self._probed_at = perf_counter()
            return self._trouble

    async def _try(self) -> str | None:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await self._insert_and_roll_back()
                async with self._database.hot() as connection:
                    await tasks.wait_for_standby(connection)
        except TimeoutError:
            return f"nothing was committed within {_PROBE_TIMEOUT_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing can be written
            return faults.in_words(error.__cause__ or error)
        self._database.writes.note_commit()
        return None

    async def _insert_and_roll_back(self) -> None:
        """Insert a task, and roll back; only its number is used up."""
        async with self._database.hot() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                await tasks.insert(connection, [self._probe_task()])
            except asyncpg.PostgresError:
                await transaction.rollback()
                raise
            await transaction.rollback()

    def _probe_task(self) -> NewTask:
        task_id = self._ids()
        created_at = identity.created_at(task_id)
        draft = TaskDraft(name="rehearsal")
        return NewTask(
            id=task_id,
            created_at=created_at,
            run_at=created_at,
            draft=draft,
            key_expires_at=created_at,
        )

    def _record(self, trouble: str | None) -> None:
        """Record the trouble, and log when it begins or ends."""
        if trouble is not None and self._trouble is None:
            log.warning("database.unwritable", error=trouble)
        elif trouble is None and self._trouble is not None:
            log.info("database.writable")
        self._trouble = trouble
