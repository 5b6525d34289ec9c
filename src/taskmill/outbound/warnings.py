"""Warns of addresses to which nothing will ever be delivered, before anything is sent."""

from ipaddress import IPv4Address

from taskmill.outbound.addresses import AddressRules
from taskmill.wire.urls import target_of

_LOOPBACK = IPv4Address("127.0.0.1")


_MOST_REMEMBERED = 1000


class Warnings:
    """Warnings about addresses under the rules of one process, cached by scheme and host."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        self._known: dict[str, str | None] = {}

    def __call__(self, url: str | None) -> str | None:
        """Return a warning if nothing will be delivered to an address, as far as can be known without a lookup."""
        if url is None:
            return None
        origin = "/".join(url.split("/", 3)[:3])
        if origin not in self._known:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            self._known[origin] = warning_of(self._rules, url)
        return self._known[origin]


def warning_of(rules: AddressRules, url: str) -> str | None:
    """Return a warning if nothing is delivered to a valid address, or None if that is unknown.

    Names are not resolved: what they resolve to may change, and is checked when they are called.
    """
    target = target_of(url)
    if (refusal := rules.refusal_of(target)) is not None:
        return f"nothing will be delivered: {refusal}"
    address = target.address
    if address is None and not rules.allows_host(target.host) and _is_local(target.host):
        address = _LOOPBACK
    if address is None or rules.admits(address):
        return None
    return (
        f"{target.host} is not a public address, so nothing will be delivered there. To let it in, start what "
        f"delivers (taskmill up, or taskmill run webhooks) with TASKMILL_OUTBOUND__ALLOW={target.host}"
    )


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")
