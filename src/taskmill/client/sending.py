"""Sends requests and tries them again: what both clients stand on. What they ask is in `calls` and its like."""

import asyncio
import os
import time
from types import TracebackType
from typing import Self, TypeVar

import httpx

from taskmill.client import calls
from taskmill.client.calls import Call
from taskmill.client.pools import LIMITS, Pools, misleading_told
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
        self._transport = transport
        self._pool, self._process = self._opened(), os.getpid()

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

    @property
    def _http(self) -> httpx.Client:
        """The connections of this process: on its parent's, a fork would get the answers to others' questions."""
        if self._process != os.getpid():
            self._pool, self._process = self._opened(), os.getpid()
        return self._pool

    def _opened(self) -> httpx.Client:
        with misleading_told(self.base_url):
            return httpx.Client(limits=LIMITS, transport=self._transport)

    def _send(self, call: Call[T]) -> T:
        url = self.base_url + call.path
        retries = 0 if call.is_probe else self._retries
        tries = Tries(self.base_url, repeatable=call.repeatable, retries=retries)
        while True:
            try:
                response = self._ask(call, url)
            except httpx.RequestError as error:
                pause_s = tries.pause_after_loss(error)
            else:
                if (again_s := tries.pause_after(response)) is None:
                    return call.result(response)
                pause_s = again_s
            time.sleep(pause_s)

    def _ask(self, call: Call[T], url: str) -> httpx.Response:
        with self._http.stream(
            call.method,
            url,
            params=call.parameters or None,
            content=call.content,
            headers=call.headers,
            timeout=_patience(self._timeout_s, call),
        ) as response:
            if call.parts is None or not response.is_success:
                response.read()
            else:
                take = call.parts()
                for part in response.iter_bytes():
                    take(part)
        return response


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
        self._pools = Pools(self.base_url, transport)

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
        await self._pools.aclose()

    async def _send(self, call: Call[T]) -> T:
        url = self.base_url + call.path
        retries = 0 if call.is_probe else self._retries
        tries = Tries(self.base_url, repeatable=call.repeatable, retries=retries)
        while True:
            try:
                response = await self._ask(call, url)
            except httpx.RequestError as error:
                pause_s = tries.pause_after_loss(error)
            else:
                if (again_s := tries.pause_after(response)) is None:
                    return call.result(response)
                pause_s = again_s
            await asyncio.sleep(pause_s)

    async def _ask(self, call: Call[T], url: str) -> httpx.Response:
        async with (
            self._pools.borrowed() as http,
            http.stream(
                call.method,
                url,
                params=call.parameters or None,
                content=call.content,
                headers=call.headers,
                timeout=_patience(self._timeout_s, call),
            ) as response,
        ):
            if call.parts is None or not response.is_success:
                await response.aread()
            else:
                take = call.parts()
                async for part in response.aiter_bytes():
                    take(part)
        return response


def _patience(timeout_s: float, call: Call[T]) -> httpx.Timeout:
    """Wait so long for each part of an answer; for a free connection as long as it takes."""
    held_s = timeout_s + call.hold_s
    return httpx.Timeout(connect=timeout_s, read=held_s, write=held_s, pool=None)
