"""Looks in one statement which duties have something to do, and wakes those: none asks in vain by itself.

While the look fails, or is not answered, all are woken, and each finds out by itself: none hangs on what only
another one needs.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from taskmill.domain.errors import Unavailable
from taskmill.maintenance.rescue import Rescue
from taskmill.runtime.clock import Clock
from taskmill.runtime.periodic import Periodic
from taskmill.storage import duties, faults
from taskmill.storage.database import Database
from taskmill.storage.duties import DueDuties

# A look that takes longer is not waited for.
_TIMEOUT_S = 1.0
# The pause after a look is so many times as long as it took: under an old snapshot each walks over all that has
# been running since. What expires before the next is waited for.
_REST_SHARE = 9
LONGEST_REST_S: Final = 3.0
"""The longest pause that a slow look makes."""


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


class DutyTrigger:
    """One look after the other. Rescue is told of each: it goes by how long the database has answered."""

    def __init__(
        self, database: Database, rescue: Rescue, wanted: Duties, *, look_s: float, clock: Clock
    ) -> None:
        """Look every `look_s` seconds at least, or as `rest_s` says: what expires before that is waited for."""
        self._database = database
        self._rescue = rescue
        self._wanted = wanted
        self._soon_s = max(look_s, LONGEST_REST_S)
        self._clock = clock
        self._took_s = 0.0

    @property
    def rest_s(self) -> float:
        """How long to pause at least, so that looking takes a share of the time only."""
        return min(_REST_SHARE * self._took_s, LONGEST_REST_S)

    async def __call__(self) -> None:
        """Do one round."""
        began_at = self._rescue.asks()
        loop = asyncio.get_running_loop()
        patience = loop.call_later(_TIMEOUT_S, self._wake_all)
        try:
            due = await duties.find(self._database, soon_s=self._soon_s)
        except Exception as error:
            if isinstance(error, Unavailable) and not faults.is_time_up(error.__cause__):
                self._rescue.goes_unanswered()
            self._wake_all()
            raise
        finally:
            patience.cancel()
            self._took_s = self._clock.monotonic() - began_at
        self._rescue.is_answered()
        self._wake(due)

    def _wake(self, due: DueDuties) -> None:
        for is_due, duty in (
            (due.rescue, self._wanted.rescue),
            (due.time_out, self._wanted.time_out),
            (due.fold_counts, self._wanted.fold_counts),
            (due.roll_up, self._wanted.roll_up),
            (due.fold_failures, self._wanted.fold_failures),
        ):
            if is_due:
                duty.wake()
        if due.expires_in_s is not None:
            asyncio.get_running_loop().call_later(
                max(due.expires_in_s, 0.0), self._wanted.expiry.wake
            )

    def _wake_all(self) -> None:
        for duty in self._wanted.all():
            duty.wake()
