"""The transport without a broker: a worker claims what is due straight from `dispatch`.

It remembers the lanes (queue, type, priority) in which tasks wait, and in each the place up to which it has
already claimed: rows deleted there still stand in the index while somebody's old snapshot is open, and
walking over them costs more with every claim. Looking for lanes, and walking them from their beginnings, for what
was committed late or handed back, is done as often as wanted while it is cheap, else for a share of the time.
"""

import asyncio
import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID

from taskmill.runtime.alertness import Alertness
from taskmill.runtime.allowance import Allowance
from taskmill.runtime.clock import Clock
from taskmill.storage import claims
from taskmill.storage.claims import Lane, LaneStart, TakenTask
from taskmill.storage.database import Database

# New lanes and pauses are noticed at least this often while claims come back full.
_LANES_HOLD_S = 1.0
# While claims come back full a lane is walked from its very beginning once in a while only.
_STARTS_HOLD_S = 10.0
# Rows due up to this long before the last one claimed are always looked at again.
_LATENESS = timedelta(seconds=0.25)
# The share of the time that looking for lanes may take, and as much for walking them from their beginnings.
_LOOKING_SHARE = 0.1
_LOOKING_BURST_S = 0.2


class PostgresTransport:
    """Claims from the lanes that a worker serves, most urgent first, among equals by the weights of their queues.

    `queues` are those that it serves, with their weights; none named: all, with the same weight.
    """

    def __init__(
        self,
        database: Database,
        *,
        worker: str,
        queues: Mapping[str, int],
        accepts: Callable[[str], bool],
        poll_s: float,
        clock: Clock,
        randomness: random.Random,
        alertness: Alertness | None = None,
    ) -> None:
        self._alertness = alertness or Alertness(clock)
        self._alertness.wakes(self.wake)
        self._database = database
        self._worker = worker
        self._weights = dict(queues)
        self._accepts = accepts
        self._poll_s = poll_s
        self._clock = clock
        self._randomness = randomness
        self._lanes: dict[Lane, float] = {}
        self._lanes_read_at = float("-inf")
        self._looked_at = float("-inf")
        self._finding = Allowance(clock, share=_LOOKING_SHARE, most_s=_LOOKING_BURST_S)
        self._walking = Allowance(clock, share=_LOOKING_SHARE, most_s=_LOOKING_BURST_S)
        self._starts: dict[Lane, LaneStart] = {}
        self._walked_at = float("-inf")
        self._woken = asyncio.Event()

    async def take(self, lease_id: UUID, limit: int) -> list[TakenTask]:
        """Claim up to `limit` due tasks."""
        self._woken.clear()
        lanes = await self._due_lanes()
        if not lanes:
            self._look_anew()
            return []
        begun_at = self._clock.monotonic()
        is_walk = begun_at - self._walked_at > _STARTS_HOLD_S and self._walking.is_open
        if is_walk:
            self._starts.clear()
            self._walked_at = begun_at
        taken = await claims.take(
            self._database,
            lease_id=lease_id,
            worker=self._worker,
            lanes=[(lane, self._starts.get(lane, LaneStart())) for lane in lanes],
            limit=limit,
        )
        if is_walk:
            self._walking.charge(self._clock.monotonic() - begun_at)
        self._remember(taken)
        if len(taken) < limit:
            self._look_anew()
        return taken

    async def wait(self) -> None:
        """Wait for the doorbell, the next due time or the polling interval."""
        # What was due already has just been tried in vain: others hold it, or it waits for its expiry.
        upcoming = [due_at for due_at in self._lanes.values() if due_at > self._looked_at]
        pause_s = min(upcoming, default=float("inf")) - self._clock.monotonic()
        is_idle = len(upcoming) == len(self._lanes)
        longest_s = self._alertness.pause_s(self._poll_s) if is_idle else self._poll_s
        try:
            async with asyncio.timeout(min(longest_s, max(pause_s, 0.001))):
                await self._woken.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        """End the wait: the doorbell rang."""
        self._lanes_read_at = float("-inf")
        self._woken.set()

    def rest(self) -> None:
        """Do nothing: what is not claimed is anybody's."""

    async def _due_lanes(self) -> list[Lane]:
        now = self._clock.monotonic()
        if now - self._lanes_read_at > _LANES_HOLD_S and self._finding.is_open:
            due_in = await claims.find_lanes(self._database)
            # Counted from the answer: a claim that comes a moment too early finds nothing.
            answered_at = self._clock.monotonic()
            self._lanes = {
                lane: answered_at + s for lane, s in due_in.items() if self._serves(lane)
            }
            self._lanes_read_at = now
            self._finding.charge(answered_at - now)
        self._looked_at = self._clock.monotonic()
        due = [lane for lane, due_at in self._lanes.items() if due_at <= self._looked_at]
        return sorted(due, key=self._place)

    def _place(self, lane: Lane) -> tuple[int, float]:
        """Draw a lane's place: the urgent before all others, then by chance, as often first as its weight says.

        By Efraimidis and Spirakis, Weighted random sampling with a reservoir (2006).
        """
        weight = self._weights.get(lane.queue, 1)
        return -lane.priority, -(self._randomness.random() ** (1 / weight))

    def _serves(self, lane: Lane) -> bool:
        return (not self._weights or lane.queue in self._weights) and self._accepts(lane.type)

    def _look_anew(self) -> None:
        """The lanes are drained or locked by others: look for lanes, and from their beginnings."""
        self._lanes_read_at = self._walked_at = float("-inf")

    def _remember(self, taken: list[TakenTask]) -> None:
        for one in taken:
            lane = Lane(queue=one.task.queue, type=one.task.type, priority=one.task.priority)
            start = LaneStart(run_at=one.run_at - _LATENESS)
            if start.run_at > self._starts.get(lane, LaneStart()).run_at:
                self._starts[lane] = start
