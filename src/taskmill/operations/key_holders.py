"""Who holds an idempotency key whose task is not visible yet: another request, or only the one that waits.

Nobody sees a key that an open transaction has inserted. But an insert of the same key waits for that transaction,
and PostgreSQL reports which one that is. The waiting request has a transaction of its own, which may hold the key.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from taskmill.domain.errors import Unavailable
from taskmill.domain.task import TaskDraft
from taskmill.observability.logs import get_logger
from taskmill.operations.writability import Writability
from taskmill.runtime.context_owner import ContextOwner
from taskmill.storage.database import RETRY_AFTER_S, Database
from taskmill.storage.keys import blocking_sessions, probing_keys
from taskmill.storage.tasks import NewTask, key_scope

log = get_logger(__name__)

# How long an insert of the key may wait, so that another session can see what it waits for.
_WAIT_S: Final = 0.3
_POLL_S: Final = 0.01


class KeyHolders(ContextOwner):
    """Finds out who holds the keys of requests.

    `carried` has the requests that this process is storing, by the server's process id of their connection;
    whoever stores them enters them there.
    """

    def __init__(self, database: Database, writability: Writability) -> None:
        self._database = database
        self._writability = writability
        self._probes = asyncio.TaskGroup()
        super().__init__(self._probes)
        self.carried: dict[int, Sequence[NewTask]] = {}
        # One probe at a time: each takes two connections, and two with one each would wait for ever.
        self._probing = asyncio.Lock()

    def probe(self, draft: TaskDraft, timeout_s: float) -> "asyncio.Task[bool]":
        """Begin to find out whether another request holds the key that this one waits for.

        The result is False when that can't be found out in time.
        """
        return self._probes.create_task(self._probe(draft, timeout_s))

    async def _probe(self, draft: TaskDraft, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                return await self.is_held_by_another(draft)
        except (TimeoutError, Unavailable):
            pass
        except Exception:
            log.exception("key.unprobed")
        return False

    async def is_held_by_another(self, draft: TaskDraft) -> bool:
        """Return whether an open transaction that does not store this request holds its key.

        Raises:
            Unavailable: that is unknown, as the database is away, or accepts no writes.
        """
        key = draft.idempotency
        if key is None:
            return False
        if await self._writability.probe() is not None:
            raise Unavailable(RETRY_AFTER_S, "writing to the database")
        async with self._probing:
            holders = await self._holders(key_scope(draft), key.key)
        return bool(holders - self._carriers_of(draft))

    def _carriers_of(self, draft: TaskDraft) -> set[int]:
        return {
            pid
            for pid, carried in self.carried.items()
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
