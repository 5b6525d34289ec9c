"""Addresses of PostgreSQL: one with several hosts becomes several with one host each. It connects to none."""

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

from taskmill.domain.errors import ConfigurationError

_WANTED: Final = "target_session_attrs"
_FILES: Final = ("sslrootcert", "sslcert", "sslkey")


def addresses_of(url: str) -> tuple[str, ...]:
    """Return an address for each host; of several only the primary fits, unless the address says otherwise.

    Raises:
        ConfigurationError: hosts and ports don't belong together.
    """
    parts = urlsplit(url)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    credentials, at, netlocs = parts.netloc.rpartition("@")
    hosts = netlocs.split(",")
    if len(hosts) > 1:
        netlocs_of_each = [f"{credentials}{at}{host}" for host in hosts]
        return tuple(_address(parts, netloc, query) for netloc in netlocs_of_each)
    if "," in query.get("host", ""):
        return tuple(_address(parts, parts.netloc, {**query, **one}) for one in _places(query))
    return (url,)


def place_of(url: str) -> str:
    """Return the host and port of an address with one host, as it has them: without its login."""
    parts = urlsplit(url)
    hosts = parse_qs(parts.query).get("host")
    return hosts[-1] if hosts else parts.netloc.rpartition("@")[2]


def check_files(url: str) -> None:
    """Check that the files for TLS can be read: the driver's error does not name them. Raises `OSError`."""
    query = parse_qs(urlsplit(url).query)
    for name in _FILES:
        for path in query.get(name, ()):
            if not os.access(path, os.R_OK):
                raise FileNotFoundError(f"{name}={path} can't be read")


def _address(parts: SplitResult, netloc: str, query: Mapping[str, str]) -> str:
    """Return the address of one of several hosts."""
    text = urlencode({**query, _WANTED: query.get(_WANTED, "primary")}, safe="/:")
    return parts._replace(netloc=netloc, query=text).geturl()


def _places(query: Mapping[str, str]) -> list[dict[str, str]]:
    """Return `host` and `port` of each host that the query names: one port may be that of all."""
    hosts, ports = query["host"].split(","), query.get("port", "").split(",")
    if len(ports) == 1:
        ports = ports * len(hosts)
    if len(ports) != len(hosts):
        raise ConfigurationError(
            f"the database's address names {len(hosts)} hosts and {len(ports)} ports"
        )
    pairs = zip(hosts, ports, strict=True)
    return [{"host": host, **({"port": port} if port else {})} for host, port in pairs]
