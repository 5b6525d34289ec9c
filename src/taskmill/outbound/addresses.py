"""Which schemes, ports and IP addresses may be called: global addresses, and those that the settings allow.

An IPv6 address that stands for an IPv4 one (mapped, 6to4, NAT64) is checked as that one. Teredo's are refused.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, Self, TypeAlias

from taskmill.settings.outgoing import OutboundSettings
from taskmill.settings.values import PortRange
from taskmill.wire.urls import Target

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# What the library treats as global, or did in some version, though it is no public host. Of IPv6 everything but
# global unicast (2000::/3): the rest is reserved, or stands for IPv4 where something translates it
# (::ffff:0:7f00:1). 168.63.129.16 is the host of a virtual machine at Azure, and gives its secrets away.
_NEVER: Final[tuple[Network, ...]] = tuple(
    map(
        ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10", "224.0.0.0/4", "240.0.0.0/4"),
            *("168.63.129.16", "::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32"),
            "3fff::/20",
        ),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_IN_NAT64: Final = 2**32 - 1


class AddressRules:
    """The rules of one process. `allowed` lists networks (`10.0.0.0/8`) and host names.

    A name allows every address that it resolves to; `*.example.org` stands for all names below that one. Without
    `ports` all ports may be called.
    """

    def __init__(
        self,
        allowed: Iterable[str] = (),
        *,
        https_only: bool = False,
        ports: Sequence[PortRange] = (),
    ) -> None:
        self._https_only = https_only
        self._ports = ports
        self._networks: list[Network] = []
        self._names: set[str] = set()
        self._suffixes: list[str] = []
        for entry in allowed:
            self._add(entry.lower().removesuffix("."))

    @classmethod
    def of(cls, settings: OutboundSettings) -> Self:
        """Return the rules of the settings."""
        return cls(settings.allow, https_only=settings.https_only, ports=settings.ports)

    def _add(self, entry: str) -> None:
        if (network := network_of(entry)) is not None:
            self._networks.append(network)
        elif entry.startswith("*."):
            self._suffixes.append(entry[1:])
        else:
            self._names.add(entry)

    def refusal_of(self, target: Target) -> str | None:
        """Return why nothing may be called at a scheme and port; None if they are allowed."""
        if self._https_only and target.scheme != "https":
            return (
                f"{target.origin} is not called: with TASKMILL_OUTBOUND__HTTPS_ONLY only https is"
            )
        if self._ports and not any(one.first <= target.port <= one.last for one in self._ports):
            allowed = ",".join(map(str, self._ports))
            return f"{target.origin} is not called: TASKMILL_OUTBOUND__PORTS allows only {allowed}"
        return None

    def allows_host(self, host: str) -> bool:
        """Whether a name is allowed whatever it resolves to."""
        return host in self._names or host.endswith(tuple(self._suffixes))

    def admits(self, address: Address) -> bool:
        """Whether an address may be called, whatever name resolved to it."""
        return self._is_allowed(address) or all(
            _is_global(one) or self._is_allowed(one) for one in forms_of(address)
        )

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def network_of(entry: str) -> Network | None:
    """Return an entry's network (a single address is one, too); None if it is neither."""
    try:
        return ip_network(entry, strict=False)
    except ValueError:
        return None


def forms_of(address: Address) -> tuple[Address, ...]:
    """Return an address, and the IPv4 addresses that it stands for."""
    return (address, *_within(address))


def _is_global(address: Address) -> bool:
    if isinstance(address, IPv6Address) and _embeds_another_address(address):
        return True
    return address.is_global and not any(address in network for network in _NEVER)


def _embeds_another_address(address: IPv6Address) -> bool:
    """Whether an address only wraps an IPv4 address, which is checked by itself."""
    return address.ipv4_mapped is not None or address in _NAT64 or address.sixtofour is not None


def _within(address: Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return
    yield from (one for one in (address.ipv4_mapped, address.sixtofour) if one is not None)
    if address in _NAT64:
        yield IPv4Address(int(address) & _IN_NAT64)
