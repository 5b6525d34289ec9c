"""Shares a process's slots for concurrent tries among endpoints, so that none of them holds up the others.

An *endpoint* is a webhook, or all callbacks to one origin. This module knows how endpoints have responded to this
process, and nothing of what is delivered.

- An endpoint starts with one try at a time. Each quick response doubles that, up to a limit; slow responses lead
  to half of the limit, from below and from above; no response takes it back to one.
- Endpoints that are not known to be quick get at most half of all slots: the other half is for those that are.
- An endpoint that gave no response, or may not be called, is paused, each time for longer; one that asks for a
  pause gets it, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_QUICK_S: Final = 1.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_MOST_DOUBLINGS: Final = 10
# How many endpoints are remembered.
_MOST_KNOWN: Final = 10_000


@dataclass(slots=True)
class _Endpoint:
    under_way: int = 0
    limit: int = 1
    is_quick: bool = False
    failures: int = 0
    paused_until: float = 0.0


class EndpointSlots:
    """The endpoints known to this process, and how many tries are under way at each; times are monotonic."""

    def __init__(self, most: int, *, per_endpoint: int) -> None:
        self._most = most
        self._per_endpoint = per_endpoint
        self._endpoints: dict[str, _Endpoint] = {}
        self._under_way = 0
        self._slow_under_way = 0

    @property
    def under_way(self) -> int:
        """How many tries are under way."""
        return self._under_way

    @property
    def is_full(self) -> bool:
        """Whether all slots are taken."""
        return self._under_way >= self._most

    def shares(self, due: Iterable[str], now: float) -> list[tuple[str, int]]:
        """Return how many tries each endpoint may start now, without those that may start none."""
        names = list(due)
        free = self._most - self._under_way
        slow_free = self._most // 2 - self._slow_under_way
        share = max(1, free // max(1, len(names)))
        found = []
        for name in names:
            endpoint = self._endpoints.get(name) or _Endpoint()
            room = min(
                endpoint.limit - endpoint.under_way,
                share,
                free if endpoint.is_quick else slow_free,
                free,
            )
            if room > 0 and endpoint.paused_until <= now:
                found.append((name, room))
                free -= room
                slow_free -= 0 if endpoint.is_quick else room
        return found

    def begin(self, name: str) -> None:
        """Count a try that starts."""
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            self._forget_some()
            endpoint = self._endpoints[name] = _Endpoint()
        endpoint.under_way += 1
        self._under_way += 1
        self._slow_under_way += not endpoint.is_quick

    def record_response(
        self, name: str, now: float, *, after_s: float, pause_s: float = 0.0
    ) -> None:
        """Count a try that got a response after `after_s`; the endpoint may have asked for a pause."""
        endpoint = self._end(name)
        endpoint.failures = 0
        endpoint.paused_until = (
            max(endpoint.paused_until, now + pause_s) if pause_s else endpoint.paused_until
        )
        if after_s <= _QUICK_S:
            self._set_quick(endpoint, is_quick=True)
            endpoint.limit = min(2 * endpoint.limit, self._per_endpoint)
        else:
            self._set_quick(endpoint, is_quick=False)
            endpoint.limit = min(endpoint.limit + 1, max(1, self._per_endpoint // 2))

    def record_failure(self, name: str, now: float) -> None:
        """Count a try that got no response, or was not made because the address may not be called."""
        endpoint = self._end(name)
        self._set_quick(endpoint, is_quick=False)
        endpoint.limit = 1
        if endpoint.paused_until > now:
            return  # It was under way together with one that has been counted.
        pause_s = _FIRST_PAUSE_S * 2.0 ** min(endpoint.failures, _MOST_DOUBLINGS)
        endpoint.failures += 1
        endpoint.paused_until = now + min(pause_s, _LONGEST_PAUSE_S)

    def release(self, name: str) -> None:
        """Count a try that ended without telling anything about its endpoint."""
        self._end(name)

    def _end(self, name: str) -> _Endpoint:
        endpoint = self._endpoints[name]
        endpoint.under_way -= 1
        self._under_way -= 1
        self._slow_under_way -= not endpoint.is_quick
        return endpoint

    def _set_quick(self, endpoint: _Endpoint, *, is_quick: bool) -> None:
        """Change whether an endpoint is quick, and count its tries under way in the other half."""
        if endpoint.is_quick != is_quick:
            self._slow_under_way += -endpoint.under_way if is_quick else endpoint.under_way
            endpoint.is_quick = is_quick

    def _forget_some(self) -> None:
        if len(self._endpoints) >= _MOST_KNOWN:
            idle = [name for name, endpoint in self._endpoints.items() if not endpoint.under_way]
            for name in idle[: _MOST_KNOWN // 2]:
                del self._endpoints[name]
