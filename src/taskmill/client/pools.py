"""The connection pools of the synchronous client, and what both clients' pools share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx

from taskmill.client.errors import Unreachable

# A call that waits for a task keeps a connection while the service holds the response. With httpx's default of
# 100, calls would soon time out waiting for a connection.
LIMITS: Final = httpx.Limits(max_connections=500, max_keepalive_connections=20)
# What httpx raises for unknown kinds of proxies, and for missing certificates.
_UNUSABLE: Final = (ImportError, OSError, ValueError, httpx.InvalidURL)


@contextmanager
def checked_environment(url: str) -> Iterator[None]:
    """Raise `Unreachable` when the environment has proxies or certificates that can't be used."""
    try:
        yield
    except _UNUSABLE as error:
        raise Unreachable(
            url, f"the environment's proxies or certificates can't be used: {error}"
        ) from error


def headers_of(api_key: str | None) -> dict[str, str]:
    """Return the headers of every request. Raises `ValueError`, without the key, for what can't be one."""
    if api_key is None:
        return {}
    if not api_key or any(not "!" <= one <= "~" for one in api_key):
        raise ValueError("api_key: expected letters, digits and _ only, tm_...")
    return {"Authorization": f"Bearer {api_key}"}


def timeout_of(timeout_s: float, hold_s: float) -> httpx.Timeout:
    """Limit the wait for each part of a response, which may be held; not the wait for a free connection."""
    held_s = timeout_s + hold_s
    return httpx.Timeout(connect=timeout_s, read=held_s, write=held_s, pool=None)


class Pools:
    """For synchronous Python: one pool of connections for each process.

    On its parent's connections, a fork would get the responses to its parent's requests.
    """

    def __init__(
        self, url: str, transport: httpx.BaseTransport | None, api_key: str | None = None
    ) -> None:
        self._url = url
        self._transport = transport
        self._headers = headers_of(api_key)
        self._current, self._process = self._opened(), os.getpid()

    @contextmanager
    def borrowed(self) -> Iterator[httpx.Client]:
        """Lend a call the connections."""
        yield self._of_this_process()

    def close(self) -> None:
        """Close all connections."""
        self._of_this_process().close()

    def _of_this_process(self) -> httpx.Client:
        if self._process != os.getpid():
            self._current, self._process = self._opened(), os.getpid()
        return self._current

    def _opened(self) -> httpx.Client:
        with checked_environment(self._url):
            return httpx.Client(limits=LIMITS, transport=self._transport, headers=self._headers)
