"""The stream that refreshes a page: server-sent events that say only that something has changed.

The page then requests its live part, at most once a second; so a slow reader gets fewer events, and nothing is
buffered for it here.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.operations.change_ticker import ChangeTicker, Tick, Watcher
from taskmill.runtime.http_scope import ABORT, HEAD_ONLY, UNTIMED, set_deadline

_HEADERS: Final = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    # nginx would buffer events otherwise.
    (b"x-accel-buffering", b"no"),
)
# Less than the idle timeout of most proxies.
_HEARTBEAT_S: Final = 15.0
_STREAM_S: Final = 3600.0
_STALLED_S: Final = 10.0
_BEGIN: Final = b"retry: 1000\n: ok\n\n"
_ALIVE: Final = b": alive\n\n"


class LiveStream(Response):
    """The response to `/ui/live`: it goes on until the reader leaves, an hour is over, or the process stops.

    It ends before what it would send next when `check_again` raises `NotAuthenticated`.
    """

    def __init__(
        self,
        change_ticker: ChangeTicker,
        task_id: UUID | None,
        check_again: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__()
        self._change_ticker = change_ticker
        self._task_id = task_id
        self._check_again = check_again

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; errors are raised before anything is sent."""
        async with self._change_ticker.watching(self._task_id) as watcher:
            scope[UNTIMED] = True
            set_deadline(scope, None)
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS]})
            if HEAD_ONLY in scope:
                await send({"type": "http.response.body", "body": b""})
                return
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_until_gone(receive, watcher))
                try:
                    await _send_ticks(watcher, send, self._check_again)
                except TimeoutError:
                    # The reader has stalled: abort, as what is left to send would stay in memory.
                    scope[ABORT]()
                watch.cancel()


async def _until_gone(receive: Receive, watcher: Watcher) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watcher.notify(Tick.OVER)


async def _send_ticks(
    watcher: Watcher, send: Send, check_again: Callable[[], Awaitable[None]]
) -> None:
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + _STREAM_S
    body = _BEGIN
    while loop.time() < ends_at:
        await _send(send, body, more=True)
        tick = await watcher.next(_HEARTBEAT_S)
        if tick is Tick.OVER or not await _is_valid(check_again):
            break
        body = _ALIVE if tick is None else f"event: {tick}\ndata:\n\n".encode()
    await _send(send, b"", more=False)


async def _is_valid(check_again: Callable[[], Awaitable[None]]) -> bool:
    try:
        await check_again()
    except NotAuthenticated:
        return False
    return True


async def _send(send: Send, body: bytes, *, more: bool) -> None:
    async with asyncio.timeout(_STALLED_S):
        await send({"type": "http.response.body", "body": body, "more_body": more})
