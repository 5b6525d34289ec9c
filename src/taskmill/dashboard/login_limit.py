"""Limits how often an address may try to log in, in this process. Nothing is stored."""

from collections import deque
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from typing import Final

MOST_TRIES: Final = 10
WITHIN_S: Final = 60.0

_MOST_ADDRESSES: Final = 10_000
_PREFIX: Final = 64


class LoginLimit:
    """The times of the latest tries of each address.

    One /64 of IPv6 is one address, as a client has all of it. Of too many addresses the one that was first seen is
    forgotten.
    """

    def __init__(self) -> None:
        self._tries: dict[str, deque[float]] = {}

    def wait_s(self, host: str, now: float) -> int:
        """Count a try, and return 0; or return after how many seconds one is allowed, and count nothing."""
        address = _address(host)
        tries = self._tries.pop(address, None)
        if tries is None:
            if len(self._tries) >= _MOST_ADDRESSES:
                del self._tries[next(iter(self._tries))]
            tries = deque()
        self._tries[address] = tries
        while tries and now - tries[0] >= WITHIN_S:
            tries.popleft()
        if len(tries) >= MOST_TRIES:
            return max(ceil(tries[0] + WITHIN_S - now), 1)
        tries.append(now)
        return 0


def _address(host: str) -> str:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _PREFIX), strict=False))
