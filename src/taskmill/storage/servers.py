"""The servers of one database, and the way to the one that takes writes.

An address may name several hosts, as in `postgresql://user@db1,db2:5433/taskmill`: a primary and its standbys.
They are tried one after the other, beginning with the one that worked last. The driver can do this too, but it
gives up at the first host that is starting, and one that is switched off uses up the whole timeout.
"""

import asyncio
import os
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import asyncpg

from taskmill.storage import faults
from taskmill.storage.asyncpg_internals import distinguish_arrays_by_type

# The type stubs make it generic, the library does not.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_WANTED = "target_session_attrs"
_FILES = ("sslrootcert", "sslcert", "sslkey")


class Servers:
    """The hosts of an address, each as an address of its own."""

    def __init__(self, url: str) -> None:
        self._urls = _urls(url)
        distinguish_arrays_by_type()

    async def connect(self, *, timeout_s: float, **options: Any) -> Connection:  # noqa: ANN401 - the driver's
        """Connect to the first server that fits, within `timeout_s`; `options` are the driver's.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InternalClientError: the error of the last server.
            TimeoutError: the last server did not respond.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        for number, url in enumerate(self._urls, 1):
            share_s = (deadline - loop.time()) / (len(self._urls) + 1 - number)
            try:
                _check_files(url)
                connection: Connection = await asyncpg.connect(url, timeout=share_s, **options)
            except Exception as error:
                if number == len(self._urls) or not faults.is_outage(error):
                    raise
            else:
                self._prefer(url)
                return connection
        raise AssertionError("the last one returns or raises")

    def _prefer(self, url: str) -> None:
        """Try this one first from now on."""
        if self._urls[0] != url:
            self._urls = (url, *(other for other in self._urls if other != url))


def _check_files(url: str) -> None:
    """Check that the files for TLS can be read: the driver's error does not name them. Raises `OSError`."""
    query = parse_qs(urlsplit(url).query)
    for name in _FILES:
        for path in query.get(name, ()):
            if not os.access(path, os.R_OK):
                raise FileNotFoundError(f"{name}={path} can't be read")


def _urls(url: str) -> tuple[str, ...]:
    """Return an address for each host; of several only the primary fits, unless the address says otherwise."""
    parts = urlsplit(url)
    credentials, at, netlocs = parts.netloc.rpartition("@")
    hosts = netlocs.split(",")
    if len(hosts) == 1:
        return (url,)
    query = parts.query
    if _WANTED not in parse_qs(query):
        query = f"{query}&{_WANTED}=primary" if query else f"{_WANTED}=primary"
    return tuple(
        parts._replace(netloc=f"{credentials}{at}{host}", query=query).geturl() for host in hosts
    )
