"""Sends requests, and retries them; the requests themselves are in `calls`, `contracts` and `webhooks`."""

import asyncio
from typing import Self, TypeVar

import httpx

from taskmill.client import calls
from taskmill.client.async_pools import AsyncPools
from taskmill.client.calls import Call
from taskmill.client.pools import timeout_of
from taskmill.client.tries import Tries

T = TypeVar("T")


class AsyncSender:
    """A connection pool, and the retries of each call. An `api_key` goes with every request."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        retries: int = 3,
        api_key: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = calls.address(base_url)
        self._retries = retries
        self._timeout_s = timeout_s
        self._pools = AsyncPools(self.base_url, transport, api_key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pools.aclose()

    async def _send(self, call: Call[T]) -> T:
        url = self.base_url + call.path
        retries = 0 if call.is_probe else self._retries
        tries = Tries(self.base_url, repeatable=call.repeatable, retries=retries)
        while True:
            try:
                response = await self._request(call, url)
            except httpx.RequestError as error:
                pause_s = tries.pause_after_loss(error)
            else:
                if (again_s := tries.pause_after(response)) is None:
                    return call.result(response)
                pause_s = again_s
            await asyncio.sleep(pause_s)

    async def _request(self, call: Call[T], url: str) -> httpx.Response:
        async with (
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
                await response.aread()
            else:
                take = call.parts()
                async for part in response.aiter_bytes():
                    take(part)
        return response
