"""A normal client: on each of a few connections it creates and reads a task at a fixed pace, for some seconds.

The time of a request counts from when it was due, so it includes waiting for the response to the request before.
One of the connections is opened again for each task. A wrong or late response counts as refused. CLIENT_API_KEY
has the API key that it shows, if any.
"""

import argparse
import asyncio
import json
import os
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic

from benchmarks.connections import Connection, Response, connected_from

_ADDRESS = "127.0.0.1"
_CONNECTIONS = 4
_TASKS_PER_S = 10
"""On each connection."""
_TIMEOUT_S = 10.0
_CREATED, _OK = 201, 200
_TASK = b'{"name":"normal","payload":{"delay_s":0,"failure_probability":0}}'


@dataclass(slots=True)
class Seen:
    """Milliseconds of all successful requests, and the outcomes of the others."""

    response_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


async def measure(url: str, seconds: float, api_key: str = "") -> Seen:
    """Act as such a client for some seconds."""
    seen = Seen()
    began = monotonic() + 0.05
    async with asyncio.TaskGroup() as group:
        for number in range(_CONNECTIONS):
            group.create_task(
                _Client(url, seen, api_key, is_persistent=number > 0).run(began, number, seconds)
            )
    return seen


class _Client:
    """One connection, or a new one for each task unless it `is_persistent`."""

    def __init__(self, url: str, seen: Seen, api_key: str, *, is_persistent: bool) -> None:
        self._url = url
        key = f"authorization: Bearer {api_key}\r\n" if api_key else ""
        self._head = f"HTTP/1.1\r\nhost: localhost\r\n{key}"
        self._seen = seen
        self._is_persistent = is_persistent
        self._stack = AsyncExitStack()
        self._open: Connection | None = None

    async def run(self, began: float, number: int, seconds: float) -> None:
        """Create and read at the pace, alternating with the other connections. What is too late is not sent."""
        async with self._stack:
            for step in range(round(seconds * _TASKS_PER_S)):
                due = began + (step + number / _CONNECTIONS) / _TASKS_PER_S
                await asyncio.sleep(max(due - monotonic(), 0))
                if monotonic() - due > _TIMEOUT_S:
                    self._seen.failed.append("never sent")
                    continue
                await self._step(due)
                if not self._is_persistent:
                    await self._close()

    async def _step(self, due: float) -> None:
        described = f"content-type: application/json\r\ncontent-length: {len(_TASK)}\r\n\r\n"
        post = f"POST /tasks {self._head}{described}".encode() + _TASK
        created = await self._request(post, _CREATED, due)
        if created is not None:
            path = created.header(b"location")
            await self._request(f"GET {path} {self._head}\r\n".encode(), _OK, monotonic())

    async def _request(self, request: bytes, status: int, due: float) -> Response | None:
        """Return the expected response and note how long it took; else note what came instead."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if self._open is None:
                    connecting = connected_from(_ADDRESS, self._url)
                    self._open = await self._stack.enter_async_context(connecting)
                response = await self._open.request(request)
        except (OSError, EOFError, TimeoutError) as error:
            self._seen.failed.append(repr(error))
            await self._close()
            return None
        if response.status != status:
            self._seen.failed.append(str(response.status))
            return None
        self._seen.response_ms.append((monotonic() - due) * 1000)
        return response

    async def _close(self) -> None:
        self._open = None
        await self._stack.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    seen = asyncio.run(measure(options.url, options.seconds, os.environ.get("CLIENT_API_KEY", "")))
    options.done.write_text(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main()
