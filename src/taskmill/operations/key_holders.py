"""Who holds an idempotency key whose task is not visible yet: another request, or only the one that waits.

Nobody sees a key that an open transaction has inserted. But an insert of the same key waits for that transaction,
and PostgreSQL reports which one that is. The waiting request has a transaction of its own, which may hold the key.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from taskmill.domain.task import TaskDraft
from taskmill.storage.database import Database
from taskmill.storage.keys import blocking_sessions, probing_keys
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import NewTask

# How long an insert of the key may wait, so that another session can see what it waits for.
_WAIT_S: Final = 0.3
_POLL_S: Final = 0.01


class KeyHolders:
    """Tracks which connection stores which requests of this process, and finds out who holds their keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._carried: dict[int, Sequence[NewTask]] = {}
        # One probe at a time: each takes two connections, and two with one each would wait for ever.
        self._probing = asyncio.Lock()

    @contextmanager
    def carrying(self, new: Sequence[NewTask]) -> Iterator[Callable[[Connection], None]]:
        """Track which connection stores these requests: the one that the yielded function is called with."""
        pids: list[int] = []

        def carry(connection: Connection) -> None:
            pids.append(connection.get_server_pid())
            self._carried[pids[0]] = new

        try:
            yield carry
        finally:
            for pid in pids:
                del self._carried[pid]

    async def another_holds_key_of(self, draft: TaskDraft) -> bool:
        """Return whether an open transaction that does not store this request holds its key.

        Raises:
            Unavailable: the database is away, or accepts no keys.
        """
        key = draft.idempotency
        if key is None:
            return False
        async with self._probing:
            holders = await self._holders(draft.source, key.key)
        return bool(holders - self._carriers_of(draft))

    def _carriers_of(self, draft: TaskDraft) -> set[int]:
        return {
            pid
            for pid, carried in self._carried.items()
            if any(one.draft is draft for one in carried)
        }

    async def _holders(self, scope: str, key: str) -> set[int]:
        """Return the sessions that an insert of the key waits for."""
        async with (
            self._database.hot() as observer,
            self._database.hot() as inserting,
            probing_keys(inserting, wait_s=_WAIT_S) as insert,
        ):
            try:
                async with asyncio.TaskGroup() as group:
                    waits: asyncio.Task[bool] = group.create_task(insert((scope, key)))
                    holders: set[int] = set()
                    while not holders and not waits.done():
                        await asyncio.wait((waits,), timeout=_POLL_S)
                        holders = await blocking_sessions(observer, inserting)
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from failed
            return holders if waits.result() else set()
