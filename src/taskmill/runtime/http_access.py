"""Which requests are allowed: checks the `Host`, and the site of the page that a browser sends a request for.

There is no login, so a page of another site must neither read nor change anything through a visitor's browser. A
page whose name was made to resolve to this server (DNS rebinding) sends that name as `Host`, so only known names
are allowed. IP addresses always are: a page has one as its host only if it was served from there. A page may also
post to another site without a preflight request; then the browser sends the page's origin
(docs/decisions/0054-names-and-origins-are-checked.md).

It reads headers and the target; others send the response.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from ipaddress import IPv6Address
from socket import inet_aton, inet_ntoa
from typing import Final, NamedTuple, Self

from starlette.types import Scope

from taskmill.runtime.http_scope import TARGET
from taskmill.settings import ApiSettings
from taskmill.wire.wording import safe_text

DEFAULT_RESPONSE_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
"""Headers of every response that does not set them itself: browsers must not guess the type, send the address to
other sites, or store anything."""

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Paths that are served under every `Host` and without one, for probes."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_OWN_SITES: Final = frozenset({b"same-origin", b"none"})
_MOST_CACHED: Final = 1000
_LONGEST_NAME: Final = 253
_LONGEST_SHOWN: Final = 100
_LARGEST_PORT: Final = 65535
# None and "" mean that there is no port.
_USUAL_PORTS: Final = frozenset({None, "", "80", "443"})
# RFC 3986, with the zone of an IPv6 address as it is or encoded.
_AUTHORITY: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+(?:%[\w.~%-]+)?\]|[\w.~!$&'()*+,;=%-]+)(?::([0-9]{0,5}))?", re.ASCII
)
# As browsers read it: 127.0.0.1, 127.1, 0x7f.1; no name of DNS ends in a number.
_IPV4: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}", re.ASCII)
_ABSOLUTE_TARGET: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


class Refusal(NamedTuple):
    """Why a request is refused."""

    status: HTTPStatus
    detail: str


class Authority(NamedTuple):
    """A host in lower case, without brackets, zone or final dot; its port, None for the usual ones of schemes."""

    host: str
    port: int | None
    is_address: bool


class AccessRules:
    """The rules of one server."""

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        names = {host.lower().removesuffix(".") for host in hosts}
        self._names = {"localhost", *(name for name in names if not name.startswith("*"))}
        self._endings = tuple(name[1:] for name in names if name.startswith("*"))
        self._origins = {_origin(text) for text in origins} - {None}
        self._allowed_hosts: set[bytes] = set()

    @classmethod
    def of(cls, settings: ApiSettings) -> Self:
        """Make the rules from the settings."""
        return cls(settings.allowed_hosts, settings.allowed_origins)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request is refused, None when it is allowed."""
        refused = self.host_refusal(scope)
        if refused is not None or scope["method"] in SAFE_METHODS:
            return refused
        return self.cross_site_refusal(scope)

    def host_refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request's `Host`, or the host in its target, is refused."""
        if scope["path"] in OPEN_PATHS:
            return None
        hosts = _values(scope, b"host")
        if len(hosts) != 1:
            return _malformed("one Host header", "none" if not hosts else "several")
        if target := scope.get(TARGET):
            found = _ABSOLUTE_TARGET.match(target)
            hosts.append(b"" if found is None else found[1])
        return next((refused for host in hosts if (refused := self._refusal_of(host))), None)

    def allows_host(self, host: bytes) -> bool:
        """Return whether this `Host` is allowed. Allowed ones are cached."""
        return host in self._allowed_hosts or self._refusal_of(host) is None

    def cross_site_refusal(self, scope: Scope) -> Refusal | None:
        """Return why a request may change nothing: a page of another site sent it."""
        origins = _values(scope, b"origin")
        if origins and all(
            _origin(origin.decode("latin-1")) in self._origins for origin in origins
        ):
            return None
        sites = _values(scope, b"sec-fetch-site")
        hosts = _values(scope, b"host")
        host = parsed_authority(hosts[0]) if hosts else None
        if set(sites) <= _OWN_SITES and all(self._is_own(origin, host) for origin in origins):
            return None
        shown = b", ".join(origins or sites).decode("latin-1")
        detail = (
            f"a page of another site sent this ({safe_text(shown, _LONGEST_SHOWN)}), and may change nothing; "
            "if the page is yours, name it in TASKMILL_API__ALLOWED_ORIGINS"
        )
        return Refusal(HTTPStatus.FORBIDDEN, detail)

    @property
    def has_origins(self) -> bool:
        """Whether the settings allow any origins."""
        return bool(self._origins)

    def is_listed(self, origin: str) -> bool:
        """Return whether the settings allow this origin."""
        return _origin(origin) in self._origins

    def _refusal_of(self, host: bytes) -> Refusal | None:
        authority = parsed_authority(host)
        if authority is None:
            shown = safe_text(host.decode("latin-1"), _LONGEST_SHOWN)
            return _malformed("host or host:port as Host", f'"{shown}"')
        if not authority.is_address and not self._is_known(authority.host):
            shown = safe_text(authority.host, _LONGEST_SHOWN)
            detail = (
                f'this service is not known as "{shown}": send requests to its address (127.0.0.1), or name it in '
                "TASKMILL_API__ALLOWED_HOSTS"
            )
            return Refusal(HTTPStatus.MISDIRECTED_REQUEST, detail)
        if len(self._allowed_hosts) >= _MOST_CACHED:
            self._allowed_hosts.clear()
        self._allowed_hosts.add(host)
        return None

    def _is_known(self, name: str) -> bool:
        return name in self._names or name.endswith(self._endings)

    def _is_own(self, origin: bytes, host: Authority | None) -> bool:
        """Return whether a page is from here: from a known name, or from the request's host."""
        found = _origin(origin.decode("latin-1"))
        if found is None:
            return False
        if not found.is_address and self._is_known(found.host):
            return True
        # A proxy may have left the port out.
        return host is not None and found.host == host.host and host.port in {None, found.port}


def parsed_authority(text: bytes) -> Authority | None:
    """Parse `host` or `host:port`, None when it is neither."""
    found = _AUTHORITY.fullmatch(text.decode("latin-1"))
    if found is None or int(found[2] or 0) > _LARGEST_PORT:
        return None
    port = None if found[2] in _USUAL_PORTS else int(found[2])
    host = found[1].lower()
    try:
        if host.startswith("["):
            return Authority(str(IPv6Address(host[1:-1].partition("%")[0])), port, is_address=True)
        if _IPV4.fullmatch(host):
            return Authority(inet_ntoa(inet_aton(host)), port, is_address=True)
    except (ValueError, OSError):
        return None
    name = host.removesuffix(".")
    return Authority(name, port, is_address=False) if 0 < len(name) <= _LONGEST_NAME else None


def _origin(text: str) -> Authority | None:
    """Parse an origin, `scheme://host:port`; None for `null`. The scheme does not count: proxies change it."""
    return parsed_authority(text.partition("://")[2].encode("latin-1", "replace"))


def _values(scope: Scope, wanted: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == wanted]


def _malformed(expected: str, got: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, f"expected {expected}, got {got}")
