"""Who holds an idempotency key whose task is not there yet: another request, or nobody but the one that asks.

A transaction that has inserted a key shows it to nobody. But who inserts the same key waits for it, and PostgreSQL
says for whom. The request that asks has a transaction of its own, which may hold the key as well.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from taskmill.domain.task import TaskDraft
from taskmill.storage.database import Database
from taskmill.storage.keys import blockers, probing_keys
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import NewTask

# How long the key is tried to be had, so that somebody has time to see for whom that waits.
_WAIT_S: Final = 0.3
_LOOK_S: Final = 0.01


class KeyHolders:
    """Knows which connection carries which requests of this process, and finds out who holds their keys."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._carried: dict[int, Sequence[NewTask]] = {}
        # One look at a time: each takes two connections, and two that have one each would wait for ever.
        self._turn = asyncio.Lock()

    @contextmanager
    def carrying(self, new: Sequence[NewTask]) -> Iterator[Callable[[Connection], None]]:
        """Know who carries these requests, from when that is called with a connection until the end."""
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
        """Tell whether a transaction that does not carry this request has its key, and has not ended.

        Raises:
            Unavailable: the database is away, or takes no keys.
        """
        key = draft.idempotency
        if key is None:
            return False
        async with self._turn:
            holders = await self._holders(draft.source, key.key)
        return bool(holders - self._carriers_of(draft))

    def _carriers_of(self, draft: TaskDraft) -> set[int]:
        return {
            pid
            for pid, carried in self._carried.items()
            if any(one.draft is draft for one in carried)
        }

    async def _holders(self, scope: str, key: str) -> set[int]:
        """Return the sessions that whoever inserts the key waits for."""
        async with (
            self._database.hot() as looking,
            self._database.hot() as asking,
            probing_keys(asking, wait_s=_WAIT_S) as ask,
        ):
            try:
                async with asyncio.TaskGroup() as group:
                    waits: asyncio.Task[bool] = group.create_task(ask((scope, key)))
                    holders: set[int] = set()
                    while not holders and not waits.done():
                        await asyncio.wait((waits,), timeout=_LOOK_S)
                        holders = await blockers(looking, asking)
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from failed
            return holders if waits.result() else set()
