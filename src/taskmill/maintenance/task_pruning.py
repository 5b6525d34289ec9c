"""Deletes ended tasks that are past their queue's time, in small batches, half of the time at most."""

from collections import deque
from datetime import timedelta
from typing import Final
from uuid import UUID

from taskmill.domain.errors import Unavailable
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import Clock
from taskmill.runtime.pace import paced
from taskmill.storage import pruned_tasks
from taskmill.storage.database import Database
from taskmill.storage.pruned_tasks import PrunableTasks

log = get_logger(__name__)

_TASKS_AT_ONCE: Final = 500
_BATCHES_A_ROUND: Final = 20
# How many times fewer after a batch that failed.
_FEWER: Final = 8


class PruneTasks:
    """The duty. A pass goes through all that may be deleted once, in rounds of some batches.

    What ended too recently is read once in each pass. `keep` is the time of queues without one of their own.
    """

    def __init__(
        self, database: Database, clock: Clock, keep: timedelta, *, is_archived: bool
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep = keep
        self._is_archived = is_archived
        self._left: deque[PrunableTasks] = deque()
        self._after: UUID | None = None
        self._deleted = 0
        self._at_once = _TASKS_AT_ONCE

    async def __call__(self) -> bool:
        """Do one round; True when the pass is not at its end."""
        if not self._left:
            await self._begin()
        for _ in range(_BATCHES_A_ROUND):
            if not self._left:
                return False
            async with paced():
                await self._prune(self._left[0])
        return bool(self._left)

    async def _begin(self) -> None:
        found = await pruned_tasks.find(
            self._database, self._clock.now(), self._keep, is_archived=self._is_archived
        )
        await pruned_tasks.forget(self._database)
        self._left.extend(found)

    async def _prune(self, tasks: PrunableTasks) -> None:
        after, most = self._after or tasks.bounds[0], self._at_once
        try:
            batch = await pruned_tasks.prune(self._database, tasks, after, most)
        except Unavailable:
            # Tasks with long logs may take longer than a statement has: fewer of them do not.
            self._at_once = max(1, most // _FEWER)
            raise
        self._at_once = min(2 * most, _TASKS_AT_ONCE)
        self._after = batch.last
        self._deleted += batch.deleted
        if batch.read < most:
            self._end(tasks)

    def _end(self, tasks: PrunableTasks) -> None:
        if self._deleted:
            log.info(
                "task.pruned",
                queue=tasks.queue,
                week=tasks.week.suffix,
                status=tasks.status,
                tasks=self._deleted,
            )
        self._left.popleft()
        self._after, self._deleted = None, 0
