"""Looks in one statement which duties have something to do, and wakes those: none asks in vain by itself."""

import asyncio
from dataclasses import dataclass

from taskmill.domain.errors import Unavailable
from taskmill.maintenance.rescue import Rescue
from taskmill.runtime.periodic import Periodic
from taskmill.storage import duties
from taskmill.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """What is woken when it has something to do."""

    rescue: Periodic
    time_out: Periodic
    expiry: Periodic
    fold_counts: Periodic
    roll_up: Periodic
    fold_failures: Periodic

    def all(self) -> list[Periodic]:
        """Return them in the order in which they are started."""
        return [getattr(self, name) for name in self.__slots__]


class Lookout:
    """One look after the other. Rescue is told of each: it goes by how long the database has answered."""

    def __init__(
        self, database: Database, rescue: Rescue, wanted: Duties, *, look_s: float
    ) -> None:
        """Look every `look_s` seconds at least: what expires before that is waited for."""
        self._database = database
        self._rescue = rescue
        self._wanted = wanted
        self._look_s = look_s

    async def __call__(self) -> None:
        """Do one round."""
        self._rescue.asks()
        try:
            due = await duties.find(self._database)
        except Unavailable:
            self._rescue.goes_unanswered()
            raise
        self._rescue.is_answered()
        for is_due, duty in (
            (due.rescue, self._wanted.rescue),
            (due.time_out, self._wanted.time_out),
            (due.fold_counts, self._wanted.fold_counts),
            (due.roll_up, self._wanted.roll_up),
            (due.fold_failures, self._wanted.fold_failures),
        ):
            if is_due:
                duty.wake()
        if due.expires_in_s is not None and due.expires_in_s < self._look_s:
            asyncio.get_running_loop().call_later(
                max(due.expires_in_s, 0.0), self._wanted.expiry.wake
            )
