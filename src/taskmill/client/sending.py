"""Sends requests and tries them again: what both clients stand on. What they ask is in `calls` and its like."""

import asyncio
import time
from types import TracebackType
from typing import Self, TypeVar

import httpx

from taskmill.client import calls
from taskmill.client.calls import Call
from taskmill.client.tries import Tries

__all__ = ["AsyncSender", "Sender"]

T = TypeVar("T")


class Sender:
    """A connection pool for ordinary Python."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.base_url = calls.address(base_url)
        self._retries = retries
        self._timeout_s = timeout_s
        self._http = httpx.Client(timeout=timeout_s, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def _send(self, call: Call[T]) -> T:
        url = self.base_url + call.path
        retries = 0 if call.is_probe else self._retries
        tries = Tries(self.base_url, repeatable=call.repeatable, retries=retries)
        while True:
            try:
                response = self._http.request(
                    call.method,
                    url,
                    params=call.parameters or None,
                    content=call.content,
                    headers=call.headers,
                    timeout=self._timeout_s + call.hold_s,
                )
            except httpx.TransportError as error:
                pause_s = tries.pause_after_loss(error)
            else:
                if (again_s := tries.pause_after(response)) is None:
                    return call.result(response)
                pause_s = again_s
            time.sleep(pause_s)


class AsyncSender:
    """A connection pool for asynchronous Python."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float = 10.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = calls.address(base_url)
        self._retries = retries
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(timeout=timeout_s, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _send(self, call: Call[T]) -> T:
        url = self.base_url + call.path
        retries = 0 if call.is_probe else self._retries
        tries = Tries(self.base_url, repeatable=call.repeatable, retries=retries)
        while True:
            try:
                response = await self._http.request(
                    call.method,
                    url,
                    params=call.parameters or None,
                    content=call.content,
                    headers=call.headers,
                    timeout=self._timeout_s + call.hold_s,
                )
            except httpx.TransportError as error:
                pause_s = tries.pause_after_loss(error)
            else:
                if (again_s := tries.pause_after(response)) is None:
                    return call.result(response)
                pause_s = again_s
            await asyncio.sleep(pause_s)
