"""Shares what one process may try at once among endpoints, so that none of them holds up the others.

A *lane* is one endpoint: a webhook, or all callbacks to one origin. It knows of lanes what this process has seen,
and nothing of what is delivered.

- A lane begins with one try at a time; each quick answer doubles that, up to a limit. Slow answers lead to half of
  the limit, from below and from above; none takes it back to one.
- Lanes that are not known to be quick have half of all tries at most: the other half is for those that are.
- A lane that gave no answer, or may not be called, rests, each time for longer; so does one that asks for it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_QUICK_S: Final = 1.0
_FIRST_REST_S: Final = 1.0
_LONGEST_REST_S: Final = 60.0
_MOST_DOUBLINGS: Final = 10
# Of so many lanes it is remembered how they were.
_MOST_KNOWN: Final = 10_000


@dataclass(slots=True)
class _Lane:
    under_way: int = 0
    room: int = 1
    is_quick: bool = False
    silences: int = 0
    rests_until: float = 0.0


class Lanes:
    """The lanes that this process has seen, and how many tries are under way in each; times are monotonic."""

    def __init__(self, most: int, *, per_lane: int) -> None:
        self._most = most
        self._per_lane = per_lane
        self._lanes: dict[str, _Lane] = {}
        self._under_way = 0
        self._slow_under_way = 0

    @property
    def under_way(self) -> int:
        """How many tries are under way."""
        return self._under_way

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be tried now."""
        return self._under_way >= self._most

    def shares(self, due: Iterable[str], now: float) -> list[tuple[str, int]]:
        """Return how many tries each of the lanes may begin now; those that may none are left out."""
        names = list(due)
        free = self._most - self._under_way
        slow_free = self._most // 2 - self._slow_under_way
        share = max(1, free // max(1, len(names)))
        found = []
        for name in names:
            lane = self._lanes.get(name) or _Lane()
            room = min(
                lane.room - lane.under_way, share, free if lane.is_quick else slow_free, free
            )
            if room > 0 and lane.rests_until <= now:
                found.append((name, room))
                free -= room
                slow_free -= 0 if lane.is_quick else room
        return found

    def begin(self, name: str) -> None:
        """Count a try that begins."""
        lane = self._lanes.get(name)
        if lane is None:
            self._forget_some()
            lane = self._lanes[name] = _Lane()
        lane.under_way += 1
        self._under_way += 1
        self._slow_under_way += not lane.is_quick

    def answered(self, name: str, now: float, *, after_s: float, rest_s: float = 0.0) -> None:
        """Count a try that ended with an answer after so many seconds; the endpoint may have asked for a rest."""
        lane = self._end(name)
        lane.silences = 0
        lane.rests_until = max(lane.rests_until, now + rest_s) if rest_s else lane.rests_until
        if after_s <= _QUICK_S:
            self._become(lane, is_quick=True)
            lane.room = min(2 * lane.room, self._per_lane)
        else:
            self._become(lane, is_quick=False)
            lane.room = min(lane.room + 1, max(1, self._per_lane // 2))

    def silent(self, name: str, now: float) -> None:
        """Count a try that ended without an answer, or was not made because nobody is to be called there."""
        lane = self._end(name)
        self._become(lane, is_quick=False)
        lane.room = 1
        if lane.rests_until > now:
            return  # Others that were under way with the one that was counted.
        rest_s = _FIRST_REST_S * 2.0 ** min(lane.silences, _MOST_DOUBLINGS)
        lane.silences += 1
        lane.rests_until = now + min(rest_s, _LONGEST_REST_S)

    def dropped(self, name: str) -> None:
        """Count a try that came to no end: nothing is learned of its endpoint."""
        self._end(name)

    def _end(self, name: str) -> _Lane:
        lane = self._lanes[name]
        lane.under_way -= 1
        self._under_way -= 1
        self._slow_under_way -= not lane.is_quick
        return lane

    def _become(self, lane: _Lane, *, is_quick: bool) -> None:
        """Move what is still under way in a lane to the other half, when it turns out to be another kind."""
        if lane.is_quick != is_quick:
            self._slow_under_way += -lane.under_way if is_quick else lane.under_way
            lane.is_quick = is_quick

    def _forget_some(self) -> None:
        if len(self._lanes) >= _MOST_KNOWN:
            idle = [name for name, lane in self._lanes.items() if not lane.under_way]
            for name in idle[: _MOST_KNOWN // 2]:
                del self._lanes[name]
