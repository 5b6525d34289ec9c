"""Finds with one statement which duties have something to do, and wakes those: none polls in vain by itself.

While that statement fails or takes too long, all duties are woken and each finds out by itself, so a problem of
one never stops another.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from taskmill.domain.errors import Unavailable
from taskmill.maintenance.firing import TickTimer
from taskmill.maintenance.rescue import Rescue
from taskmill.runtime.clock import Clock
from taskmill.runtime.periodic import Periodic
from taskmill.storage import duties, faults
from taskmill.storage.database import Database
from taskmill.storage.duties import DueDuties

# When the statement takes longer, all duties are woken without its result.
_TIMEOUT_S = 1.0
# The pause is so many times as long as the statement took: while an old snapshot is open, it reads every row that
# has died since. Tasks that expire during the pause, and the next tick, get a timer.
_PAUSE_RATIO = 9
LONGEST_PAUSE_S: Final = 3.0
"""The longest pause after a slow statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duties:
    """The duties that are woken when they have something to do."""

    rescue: Periodic
    time_out: Periodic
    expiry: Periodic
    fold_counts: Periodic
    roll_up: Periodic
    fold_failures: Periodic
    fire_schedules: Periodic
    schedule_requests: Periodic

    def all(self) -> list[Periodic]:
        """Return them in the order in which they are started."""
        return [getattr(self, name) for name in self.__slots__]


class DutyTrigger:
    """Notes each of its queries in `rescue`, which needs to know how long the database has answered."""

    def __init__(
        self,
        database: Database,
        rescue: Rescue,
        wanted: Duties,
        tick_timer: TickTimer,
        *,
        interval_s: float,
        clock: Clock,
    ) -> None:
        """Rounds are `interval_s` apart, or `min_pause_s` if longer: what is due in between gets a timer."""
        self._database = database
        self._rescue = rescue
        self._wanted = wanted
        self._tick_timer = tick_timer
        self._soon_s = max(interval_s, LONGEST_PAUSE_S)
        self._clock = clock
        self._took_s = 0.0

    @property
    def min_pause_s(self) -> float:
        """The shortest pause, so that the statement takes only a tenth of the time."""
        return min(_PAUSE_RATIO * self._took_s, LONGEST_PAUSE_S)

    async def __call__(self) -> None:
        """Do one round."""
        began_at = self._rescue.note_query()
        loop = asyncio.get_running_loop()
        timer = loop.call_later(_TIMEOUT_S, self._wake_all)
        try:
            due = await duties.find(self._database, soon_s=self._soon_s)
        except Exception as error:
            if isinstance(error, Unavailable) and not faults.is_time_up(error.__cause__):
                self._rescue.note_outage()
            self._wake_all()
            raise
        finally:
            timer.cancel()
            self._took_s = self._clock.monotonic() - began_at
        self._rescue.note_result()
        self._wake(due)

    def _wake(self, due: DueDuties) -> None:
        for is_due, duty in (
            (due.rescue, self._wanted.rescue),
            (due.time_out, self._wanted.time_out),
            (due.fold_counts, self._wanted.fold_counts),
            (due.roll_up, self._wanted.roll_up),
            (due.fold_failures, self._wanted.fold_failures),
            (due.schedule_requests, self._wanted.schedule_requests),
        ):
            if is_due:
                duty.wake()
        self._tick_timer.set(due.next_tick_in_s)
        if due.expires_in_s is not None:
            asyncio.get_running_loop().call_later(
                max(due.expires_in_s, 0.0), self._wanted.expiry.wake
            )

    def _wake_all(self) -> None:
        for duty in self._wanted.all():
            duty.wake()
