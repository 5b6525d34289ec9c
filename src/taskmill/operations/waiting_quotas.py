"""Limits how many waiting tasks an API key may have, and how many bytes are in them.

Only keys with such a quota are counted, by the owner that rows of `dispatch` then have, from a task's creation to
its first claim. What a process creates it adds by itself; what others create it sees at its next count.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from taskmill.domain.quotas import Owner, Quota, QuotaExceeded
from taskmill.domain.task import TaskDraft
from taskmill.operations.quotas import exceeded
from taskmill.runtime.clock import Clock
from taskmill.storage import waiting_shares as rows
from taskmill.storage.database import Database
from taskmill.storage.tasks import NewTask
from taskmill.storage.waiting_shares import WaitingShare

COUNTED_EVERY_S: Final = 2.0
# Counting takes this share of the time at most: where much waits, it is counted less often.
_COUNTING_SHARE: Final = 0.05
# One that took long may have been a stall that is over.
_LONGEST_PAUSE_S: Final = 30.0
_KIB: Final = 1024


@dataclass(slots=True)
class _Usage:
    """What waits of an owner, and until when that is believed."""

    tasks: int = 0
    bytes: int = 0
    until: float = float("-inf")
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)


class WaitingQuotas:
    """Counts what waits of owners with such a quota, in one process; the arguments are the usual ones, 0: any."""

    def __init__(
        self, database: Database, *, clock: Clock, most_tasks: int = 0, most_kib: int = 0
    ) -> None:
        self._database = database
        self._clock = clock
        self._most_tasks = most_tasks
        self._most_kib = most_kib
        self._is_usual = bool(most_tasks or most_kib)
        self._usages: dict[str, _Usage] = {}

    def share_of(self, draft: TaskDraft) -> WaitingShare | None:
        """Return what a task takes of its owner's quotas; None if there is none to take of."""
        owner = draft.owner
        # Most keys have no quota at all, which costs nothing here.
        if owner is None or not (self._is_usual or owner.limits):
            return None
        if self._limits(owner) == (None, None):
            return None
        texts = (draft.name, draft.description, draft.payload, draft.labels)
        size = sum(len(text.encode()) for text in texts if text is not None)
        return WaitingShare(owner.name, size)

    def admits(self, new: NewTask) -> bool:
        """Return whether a task may be created as far as is known, and count it if so."""
        share, owner = new.share, new.draft.owner
        if share is None or owner is None:
            return True
        usage = self._usages.get(share.owner)
        if usage is None or self._clock.monotonic() >= usage.until:
            return False
        if self._reached(owner, usage) is not None:
            return False
        usage.tasks += 1
        usage.bytes += share.bytes
        return True

    async def refused(self, new: Iterable[NewTask]) -> dict[UUID, QuotaExceeded]:
        """Return the refusals of tasks that may not be created, by their ids; the others count from now on.

        Raises:
            Unavailable: the database is away.
        """
        refused = {}
        for one in new:
            if not self.admits(one) and (error := await self._refusal(one)) is not None:
                refused[one.id] = error
        return refused

    async def _refusal(self, new: NewTask) -> QuotaExceeded | None:
        """Count what waits if that is due, then admit the task or return why not."""
        owner = new.draft.owner
        if owner is None:
            return None
        usage = await self._counted(owner)
        if self.admits(new) or (reached := self._reached(owner, usage)) is None:
            return None
        # Workers may claim some any moment.
        return exceeded(*reached, COUNTED_EVERY_S)

    async def _counted(self, owner: Owner) -> _Usage:
        usage = self._usages.setdefault(owner.name, _Usage())
        async with usage.counting:
            # The previous holder of the lock may have counted.
            if (began_at := self._clock.monotonic()) < usage.until:
                return usage
            most = owner.most(Quota.WAITING_TASKS, self._most_tasks)
            usage.tasks, usage.bytes = await rows.total(self._database, owner.name, most_tasks=most)
            ended_at = self._clock.monotonic()
            pause_s = max(COUNTED_EVERY_S, (ended_at - began_at) / _COUNTING_SHARE)
            usage.until = ended_at + min(pause_s, _LONGEST_PAUSE_S)
        return usage

    def _limits(self, owner: Owner) -> tuple[int | None, int | None]:
        return (
            owner.most(Quota.WAITING_TASKS, self._most_tasks),
            owner.most(Quota.WAITING_KIB, self._most_kib),
        )

    def _reached(self, owner: Owner, usage: _Usage) -> tuple[Quota, int] | None:
        """Return the quota that an owner has reached, and its limit."""
        most_tasks, most_kib = self._limits(owner)
        if most_tasks is not None and usage.tasks >= most_tasks:
            return Quota.WAITING_TASKS, most_tasks
        if most_kib is not None and usage.bytes >= most_kib * _KIB:
            return Quota.WAITING_KIB, most_kib
        return None
