"""The duty that fires due schedules, and the timer that wakes it for the next tick.

The duty trigger finds that a tick comes soon, and this duty finds the one after it; so a tick waits for neither.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from taskmill.operations.contracts import Contracts
from taskmill.operations.firing import Firing
from taskmill.storage import schedules
from taskmill.storage.database import Database

MOST_AT_ONCE: Final = 1_000
"""So many schedules are locked by one transaction."""
# A timer of the loop and PostgreSQL's clock do not run alike: so much later it is surely due.
_MARGIN_S: Final = 0.002


class TickTimer:
    """Wakes a duty when the next tick is due: there is one next tick, so there is one timer."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due_in_s: float | None) -> None:
        """Wake in so many seconds instead of when it was said before; None: not soon."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due_in_s is None:
            return
        if due_in_s <= 0:
            self.wake()
            return
        self._timer = asyncio.get_running_loop().call_later(due_in_s + _MARGIN_S, self.wake)


class FireSchedules:
    """Fires what is due, and sets the timer for what comes within `soon_s`."""

    def __init__(
        self,
        database: Database,
        firing: Firing,
        contracts: Contracts,
        timer: TickTimer,
        *,
        soon_s: float,
    ) -> None:
        self._database = database
        self._firing = firing
        self._contracts = contracts
        self._timer = timer
        self._soon_s = soon_s
        self._has_more = False
        self._most = MOST_AT_ONCE

    async def __call__(self) -> bool:
        """Do one round; True when there may be more to do at once.

        After a failure it takes half as many: all at once may have been more than a transaction has time for.
        """
        # All together may take fewer then, though there are more of some owner.
        by_owner, self._has_more = self._has_more, False
        if not by_owner:
            await self._contracts.refresh()
        most, self._most = self._most, max(self._most // 2, 1)
        async with self._database.hot_transaction() as connection:
            due = await schedules.lock_due(connection, most, by_owner=by_owner)
            fired = await self._firing.fire(connection, due)
        self._most = min(most * 2, MOST_AT_ONCE)
        self._firing.report(fired)
        self._has_more = len(due) >= (1 if by_owner else most) or not fired.is_all
        if not self._has_more:
            await self._set_timer(is_progress=bool(due))
        return self._has_more

    async def _set_timer(self, *, is_progress: bool) -> None:
        due_in_s = await schedules.next_tick_in_s(self._database, soon_s=self._soon_s)
        if due_in_s is not None and due_in_s <= 0 and not is_progress:
            # Another process has it locked, or it was postponed: the duty trigger finds it if it stays due.
            return
        self._timer.set(due_in_s)
