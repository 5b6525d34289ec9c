"""Who sent a request that a trusted proxy passes on: its client's address and scheme, by the proxy's headers.

`Forwarded` is RFC 7239; `X-Forwarded-For` and `X-Forwarded-Proto` are what most proxies send. Each proxy adds to
the right, and a client may have sent anything before that. So they are read from the right, and only as far as the
addresses are trusted. It reads headers; it sees no connection.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, NamedTuple

from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import FORWARDED_IGNORED
from taskmill.wire.wording import safe_text

log = get_logger(__name__)

MALFORMED: Final = "malformed"
CONFLICTING: Final = "conflicting"

# More proxies than anybody has; what is to the left of them is not read.
_MOST_HOPS: Final = 20
# Commas in the quoted strings of one element; there are usually none.
_MOST_COMMAS: Final = 8
_MOST_CACHED: Final = 4096
_LONGEST_SHOWN: Final = 100
_SCHEMES: Final = frozenset({"http", "https"})
_WORD: Final = r"[\w!#$%&'*+.^`|~-]+"
_PAIR: Final = re.compile(rf'({_WORD})=({_WORD}|"(?:[^"\\]|\\.)*")', re.ASCII)
_ELEMENT: Final = re.compile(rf"{_PAIR.pattern}(?:[ \t]*;[ \t]*{_PAIR.pattern})*", re.ASCII)
_ESCAPED: Final = re.compile(r"\\(.)")
_NODE: Final = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+))(?::(?:[0-9]{1,5}|_[\w.-]+))?", re.ASCII
)
# The proxy does not know the client, or does not want to name it.
_HIDDEN: Final = re.compile(r"(?i:unknown)(?::[0-9]{1,5})?|_[\w.-]+(?::[0-9]{1,5})?", re.ASCII)


class Origin(NamedTuple):
    """Where a request comes from: an address, and http or https; None if that is not known."""

    address: str
    scheme: str | None


class _Hop(NamedTuple):
    """What one proxy says of who called it; None if it does not say that."""

    node: str | None
    scheme: str | None


class TrustedProxies:
    """The networks whose headers are believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]
        self._is_trusted = lru_cache(_MOST_CACHED)(self._find)
        self._logged: set[str] = set()

    def trusts(self, address: str) -> bool:
        """Return whether this address is a proxy's."""
        return self._is_trusted(address)

    def origin(self, peer: str, headers: Sequence[tuple[bytes, bytes]]) -> Origin:
        """Return where a request comes from that a trusted peer has sent. It never fails."""
        forwarded, nodes, schemes = _values(headers)
        found = (
            None if forwarded is None else self._walk(peer, _forwarded_hops(forwarded), forwarded)
        )
        if nodes is None:
            return found or Origin(peer, self._checked_scheme(peer, _last_of(schemes)))
        other = self._walk(peer, _simple_hops(nodes, schemes), nodes)
        if found is not None and found.address != other.address:
            # One of them is the client's own invention, and nobody knows which.
            self._ignore(CONFLICTING, peer, f"{forwarded}; {nodes}")
            return Origin(peer, None)
        return found or other

    def _walk(self, peer: str, hops: Iterator[_Hop | None], text: str) -> Origin:
        """Go from proxy to proxy, up to the first address that is not trusted."""
        address, scheme = peer, None
        for hop in hops:
            if hop is None:
                self._ignore(MALFORMED, peer, text)
                break
            scheme = self._checked_scheme(peer, hop.scheme)
            node = "" if hop.node is None else _address(hop.node)
            if node is None:
                self._ignore(MALFORMED, peer, text)
            if not node:
                break  # the last proxy that is known stands for those behind it
            address = node
            if not self.trusts(address):
                break
        return Origin(address, scheme)

    def _checked_scheme(self, peer: str, scheme: str | None) -> str | None:
        if scheme is None or scheme.lower() in _SCHEMES:
            return scheme and scheme.lower()
        self._ignore(MALFORMED, peer, scheme)
        return None

    def _ignore(self, reason: str, peer: str, value: str) -> None:
        """Count it, and log the first of its kind: a client can send as many as it likes."""
        FORWARDED_IGNORED.add(1, (reason,))
        if reason not in self._logged:
            self._logged.add(reason)
            shown = safe_text(value, _LONGEST_SHOWN)
            log.warning("forwarded.ignored", reason=reason, proxy=peer, value=shown)

    def _find(self, address: str) -> bool:
        try:
            found = _plain(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _values(headers: Sequence[tuple[bytes, bytes]]) -> tuple[str | None, str | None, str | None]:
    """Return the headers' values; several lines of one name are one list, and an empty one is none."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if value and name in {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto"}:
            found[name] = found[name] + b"," + value if name in found else value
    texts = {name: value.decode("latin-1") for name, value in found.items()}
    return tuple(map(texts.get, (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto")))  # type: ignore[return-value]  # there are three


def _from_the_right(text: str) -> list[str]:
    """Return the last items of a list, the last one first; empty ones do not count."""
    parts = text.rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]
    return [stripped for part in reversed(parts) if (stripped := part.strip(" \t"))]


def _simple_hops(nodes: str, schemes: str | None) -> Iterator[_Hop | None]:
    """Yield what each proxy says. One scheme is for all of them: proxies set this header rather than add to it."""
    known = deque(_from_the_right(schemes or ""))
    is_alone = len(known) == 1
    for node in _from_the_right(nodes):
        scheme = known[0] if known else None
        if known and not is_alone:
            known.popleft()
        yield _Hop(node, scheme)


def _last_of(text: str | None) -> str | None:
    return next(iter(_from_the_right(text or "")), None)


def _forwarded_hops(text: str) -> Iterator[_Hop | None]:
    """Yield what each proxy says, the last one first; None ends it: that is not an element.

    From the right it is unambiguous: a comma within a quoted string leaves an odd number of quotes on its right,
    and no element has that. From the left, one quote of a client would swallow what the proxies added.
    """
    end = len(text)
    for _ in range(_MOST_HOPS):
        element, end = _last_element(text, end)
        if element is None:
            yield None
            return
        if element:
            yield _hop(element)
        if end < 0:
            return


def _last_element(text: str, end: int) -> tuple[str | None, int]:
    """Return the element that ends there, None if there is none; and the place of the comma before it, or -1."""
    start = end
    for _ in range(_MOST_COMMAS):
        start = text.rfind(",", 0, start)
        element = text[start + 1 : end].strip(" \t")
        if not element or _ELEMENT.fullmatch(element):
            return element, start
        if start < 0:
            break
    return None, start


def _hop(element: str) -> _Hop | None:
    pairs: dict[str, str] = {}
    for name, value in _PAIR.findall(element):
        if name.lower() in pairs:
            return None
        quoted = value.startswith('"')
        pairs[name.lower()] = _ESCAPED.sub(r"\1", value[1:-1]) if quoted else value
    return _Hop(pairs.get("for"), pairs.get("proto"))


@lru_cache(_MOST_CACHED)
def _address(node: str) -> str | None:
    """Return the address of a node without its port; empty if the proxy hides it, None if it is none."""
    if _HIDDEN.fullmatch(node):
        return ""
    found = _NODE.fullmatch(node)
    try:
        return str(_plain(found["six"] or found["four"] if found else node))
    except ValueError:
        return None


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Parse an address; one of IPv4 in the form of IPv6 is one of IPv4."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
