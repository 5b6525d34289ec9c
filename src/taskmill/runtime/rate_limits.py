"""Limits how many requests each API key, and each address without one, may send to this process.

Each has a token bucket: a request takes a token, and tokens come back at an even rate. Processes share nothing, so
N of them accept N times as many. Which request has which key is decided elsewhere.
"""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from time import perf_counter
from typing import Final

from taskmill.domain.api_keys import ApiKey
from taskmill.domain.rate_limits import LimitedBy, RateLimitExceeded, RatePolicy, RateUsage
from taskmill.observability.metrics import REQUESTS_LIMITED
from taskmill.runtime.connections import address_group
from taskmill.settings import RateLimitSettings

MOST_METERED: Final = 10_000
"""Of more keys or addresses, that which has been idle for the longest is forgotten, as if its bucket was full."""

REFUSAL_DELAY_S: Final = 0.05
"""How long a refusal is held back, so that who sends the next request at once takes little time from others."""


class RateMeter:
    """The buckets of one policy, each of which is one number: when it will be full."""

    def __init__(
        self, limited_by: LimitedBy, per_s: int, burst: int, now: Callable[[], float]
    ) -> None:
        self._interval_s = 1 / per_s
        self._policy = RatePolicy(limited_by, burst, burst / per_s)
        # A float is not exact: half a token is not one too many.
        self._over_s = (burst + 0.5) / per_s
        self._low_s = burst / per_s / 2
        self._now = now
        # In the order of the latest requests; of a plain dictionary the first is found slowly.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, name: str) -> RateUsage | None:
        """Take a token; return how many are left if they are less than half of all.

        Raises:
            RateLimitExceeded: There is none.
        """
        now, full_at = self._now(), self._full_at
        end = max(now, full_at.get(name, now)) + self._interval_s
        if end - now > self._over_s:
            full_at.move_to_end(name)
            REQUESTS_LIMITED.add(1, (self._policy.limited_by,))
            wait_s = end - now - self._policy.window_s
            raise RateLimitExceeded(RateUsage(self._policy, 0, wait_s))
        full_at[name] = end
        full_at.move_to_end(name)
        if len(full_at) > MOST_METERED:
            full_at.popitem(last=False)
        if end - now <= self._low_s:
            return None
        left = round((self._policy.window_s - end + now) / self._interval_s)
        return RateUsage(self._policy, max(left, 0), end - now)

    def give_back(self, name: str) -> None:
        """Return a token that was taken for a request which takes another one."""
        if name in self._full_at:
            self._full_at[name] -= self._interval_s


class RateLimits:
    """The limits of one server."""

    def __init__(
        self, settings: RateLimitSettings, now: Callable[[], float] = perf_counter
    ) -> None:
        self._keys = _meter(LimitedBy.KEY, settings.key_rate, settings.key_burst, now)
        self._addresses = _meter(
            LimitedBy.ADDRESS, settings.address_rate, settings.address_burst, now
        )
        self._exempt = tuple(ip_network(text, strict=False) for text in settings.exempt)
        # What counts as one address, None where it is exempt.
        self._groups: OrderedDict[str, str | None] = OrderedDict()

    def take(self, key: ApiKey | None, host: str) -> RateUsage | None:
        """Count a request of a key, or without one of an address; return what is left if it is little.

        Raises:
            RateLimitExceeded: It is one too many.
        """
        if key is not None:
            return None if self._keys is None else self._keys.take(key.draft.name)
        if self._addresses is None or (group := self._group(host)) is None:
            return None
        return self._addresses.take(group)

    def give_back(self, key: ApiKey | None, host: str) -> None:
        """Count a request no longer, as it is counted again."""
        if key is not None:
            if self._keys is not None:
                self._keys.give_back(key.draft.name)
        elif self._addresses is not None and (group := self._group(host)) is not None:
            self._addresses.give_back(group)

    def _group(self, host: str) -> str | None:
        try:
            return self._groups[host]
        except KeyError:
            if len(self._groups) >= MOST_METERED:
                self._groups.popitem(last=False)
            group = self._groups[host] = None if self._is_exempt(host) else address_group(host)
            return group

    def _is_exempt(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._exempt)


def _meter(
    limited_by: LimitedBy, per_s: int, burst: int, now: Callable[[], float]
) -> RateMeter | None:
    return RateMeter(limited_by, per_s, burst, now) if per_s else None
