"""Whether the database takes writes: a task is created and taken back, and something empty is committed.

A database can answer every question and take no write: a lock on a table, a synchronous standby that is gone, a
full disk. Nothing is tried while nothing is in doubt, so that a system at rest costs nothing.
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

_TRIAL_S: Final = 1.0
_LOCK_TIMEOUT_MS: Final = 500
# However many ask, it is tried so often at most.
_HOLD_S: Final = 0.5


class Writability:
    """Tells whether this process's database takes writes."""

    def __init__(self, database: Database, ids: IdFactory) -> None:
        self._database = database
        self._ids = ids
        self._turn = asyncio.Lock()
        self._tried_at = float("-inf")
        self._trouble: str | None = None

    async def trouble(self) -> str | None:
        """Return why nothing can be written, None when something can; tries only when that is in doubt."""
        if not self._database.writes.is_in_doubt:
            self._note(None)
            return None
        return await self.probe()

    async def probe(self) -> str | None:
        """Try to write; return why that fails, None when it does not. It takes a second or two at most."""
        async with self._turn:
            if perf_counter() - self._tried_at > _HOLD_S:
                self._note(await self._try())
                self._tried_at = perf_counter()
            return self._trouble

    async def _try(self) -> str | None:
        try:
            async with asyncio.timeout(_TRIAL_S):
                await self._rehearse()
                async with self._database.hot() as connection:
                    await tasks.wait_for_standby(connection)
        except TimeoutError:
            return f"nothing was committed within {_TRIAL_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing can be written
            return faults.in_words(error.__cause__ or error)
        self._database.writes.note_commit()
        return None

    async def _rehearse(self) -> None:
        """Create a task, and take that back: of it only its number stays, which no task will have."""
        async with self._database.hot() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                await tasks.insert(connection, [self._rehearsal()])
            except asyncpg.PostgresError:
                await transaction.rollback()
                raise
            await transaction.rollback()

    def _rehearsal(self) -> NewTask:
        task_id = self._ids()
        created_at = identity.created_at(task_id)
        draft = TaskDraft(name="rehearsal")
        return NewTask(
            id=task_id,
            created_at=created_at,
            run_at=created_at,
            draft=draft,
            key_scope=draft.source,
            key_expires_at=created_at,
        )

    def _note(self, trouble: str | None) -> None:
        """Say when it changes."""
        if trouble is not None and self._trouble is None:
            log.warning("database.unwritable", error=trouble)
        elif trouble is None and self._trouble is not None:
            log.info("database.writable")
        self._trouble = trouble
