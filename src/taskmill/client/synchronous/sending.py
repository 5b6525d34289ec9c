"""Sends requests, and retries them; the requests themselves are in `calls`, `contracts` and `webhooks`."""

import time
from typing import Self, TypeVar

import httpx

from taskmill.client import calls
from taskmill.client.calls import Call
from taskmill.client.pools import Pools, timeout_of
from taskmill.client.tries import Tries

T = TypeVar("T")


class Sender:
    """A connection pool, and the retries of each call. An `api_key` goes with every request."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        retries: int = 3,
        api_key: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = calls.address(base_url)
        self._retries = retries
        self._timeout_s = timeout_s
        self._pools = Pools(self.base_url, transport, api_key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._pools.close()

    def _send(self, call: Call[T]) -> T:
        url = self.base_url + call.path
        retries = 0 if call.is_probe else self._retries
        tries = Tries(self.base_url, repeatable=call.repeatable, retries=retries)
        while True:
            try:
                response = self._request(call, url)
            except httpx.RequestError as error:
                pause_s = tries.pause_after_loss(error)
            else:
                if (again_s := tries.pause_after(response)) is None:
                    return call.result(response)
                pause_s = again_s
            time.sleep(pause_s)

    def _request(self, call: Call[T], url: str) -> httpx.Response:
        with (
            self._pools.borrowed() as http,
            http.stream(
                call.method,
                url,
                params=call.parameters or None,
                content=call.content,
                headers=call.headers,
                timeout=timeout_of(self._timeout_s, call.hold_s),
            ) as response,
        ):
            if call.parts is None or not response.is_success:
                response.read()
            else:
                take = call.parts()
                for part in response.iter_bytes():
                    take(part)
        return response
