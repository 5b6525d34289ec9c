"""The syntax of addresses that Taskmill is to call. Whether calling them is allowed is not checked here.

PostgreSQL validates it in the same way (`taskmill.url_origin`, migration 0014), so nothing here depends on a
library's URL parser, which also differs between versions.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from taskmill.domain.task_fields import LONGEST_URL
from taskmill.wire.fields import Expected

WORDS: Final = (
    "an absolute http or https address of at most 2,048 printable ASCII characters, with a host, "
    "without user, password or fragment"
)

_PORTS: Final = {"http": 80, "https": 443}
_LAST_PORT: Final = 65_535
_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)
_PARTS = re.compile(
    r"(https?)://(?:([a-z0-9_.-]+)|\[([0-9a-f:.]+)\])(?::([0-9]+))?(?:[/?].*)?",
    re.ASCII | re.IGNORECASE,
)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
# Resolvers take 127.1, 2130706433 and 0x7f.0.0.1 for IPv4 addresses. Only one spelling is accepted.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
_LONGEST_NAME: Final = 253
# Most calls go to few addresses, and each address is parsed several times: 2 MB at most.
_CACHED_URLS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an address leads: `host` is a name in lower case without the last dot, or an IP address."""

    scheme: str
    host: str
    port: int

    @property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The IP address that the host is; None when it is a name."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def origin(self) -> str:
        """Scheme, host and port: the part of an address that may be shown; the rest may hold secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@lru_cache(maxsize=_CACHED_URLS)
def target_of(url: str) -> Target:
    """Return where an address leads.

    Raises:
        ValueError: it is not what `WORDS` describes.
    """
    if len(url) > LONGEST_URL or _PRINTABLE.fullmatch(url) is None or "\\" in url or "#" in url:
        raise ValueError("not a plain address")
    parts = _PARTS.fullmatch(url)
    if parts is None:
        raise ValueError("not an http or https address of a host")
    scheme, name, bracketed, digits = parts.groups()
    scheme = scheme.lower()
    port = _PORTS[scheme] if digits is None else int(digits)
    if not 0 < port <= _LAST_PORT:
        raise ValueError("no port")
    host = _checked_host(name.lower().removesuffix(".")) if name else _checked_ipv6(bracketed)
    return Target(scheme=scheme, host=host, port=port)


def callback_endpoint(url: str) -> str:
    """Return the endpoint of a callback: all callbacks to one origin share it."""
    return f"callback:{target_of(url).origin}"


def _checked_ipv6(text: str) -> str:
    address = IPv6Address(text)
    mapped = address.ipv4_mapped
    # Python 3.13 changed how it writes those.
    return str(address) if mapped is None else f"::ffff:{mapped}"


def _checked_host(host: str) -> str:
    if _NUMERIC.fullmatch(host):
        return str(IPv4Address(host))
    if len(host) > _LONGEST_NAME or _NAME.fullmatch(host) is None:
        raise ValueError("not a host")
    return host


def _checked(url: str) -> str:
    target_of(url)
    return url


Url = Annotated[
    str,
    Field(max_length=LONGEST_URL, json_schema_extra={"format": "uri"}),
    AfterValidator(_checked),
    Expected(WORDS),
]
"""An address that Taskmill is to call."""
