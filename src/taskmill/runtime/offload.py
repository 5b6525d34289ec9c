"""One thread for work that would block the event loop: large requests are read there, one after another.

Work is done in steps of some milliseconds. Each step waits in a queue again, and the addresses are served in
rotation. So a large request does not delay small ones, nor many of one address those of others. A step holds the
interpreter's lock and can't be interrupted; so the thread pauses after each step while other requests are served,
and the event loop has the lock most of the time.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from taskmill.domain.api_keys import ApiKey
from taskmill.domain.audit import Actor, ActorKind, Origin
from taskmill.domain.errors import Unavailable
from taskmill.runtime.connections import address_group

Result = TypeVar("Result")

LARGE_BYTES: Final = 64 * 1024
"""Reading a request larger than this would delay others noticeably."""

# How long a computing thread keeps the interpreter's lock while the event loop waits for it. Python's default is 5
# ms.
_SWITCH_S: Final = 0.0005
_MOST_WAITING: Final = 256
_RETRY_AFTER_S: Final = 1.0
# A step of this length is followed by a pause of the same length, one of twice the length by a pause of four
# times, if other requests were served meanwhile: the longer the lock is held, the more of them wait, and each one
# longer. By this, fewer than one of 20 requests meets a step that holds it for more than 10 ms.
_EVEN_PAUSE_S: Final = 0.003
_LONGEST_PAUSE_S: Final = 1.0
_END: Final = object()


@dataclass(slots=True, kw_only=True)
class Caller:
    """The request being served: its client's address, its id, and whether the thread did work for it.

    `key` is the API key that it has shown, or that of its session, where keys are required.
    """

    host: str
    request_id: str | None = None
    key: ApiKey | None = None
    session: str | None = None
    was_offloaded: bool = False

    @property
    def origin(self) -> Origin:
        """Where the actions come from that it asks for."""
        key, address = self.key, self.host or None
        if key is None:
            actor = Actor(kind=ActorKind.ANONYMOUS, address=address)
        else:
            name = key.draft.name
            kind = ActorKind.KEY if self.session is None else ActorKind.SESSION
            actor = Actor(
                kind=kind, name=name, key_id=key.id, session=self.session, address=address
            )
        return Origin(actor=actor, request_id=self.request_id)


caller: Final[ContextVar[Caller | None]] = ContextVar("caller", default=None)
"""The caller of this context, if there is one."""


def calling_address() -> str:
    """Return what counts as the address of this context's caller; empty if there is none."""
    current = caller.get()
    return "" if current is None else address_group(current.host)


@dataclass(slots=True)
class _Work:
    """A function that waits for the thread, and the future of its result."""

    function: Callable[[], Any]
    result: "asyncio.Future[Any]"
    worked_s: float = field(default=0.0)

    def run(self) -> Any:  # noqa: ANN401 - whatever the function returns
        """Run it on the thread."""
        began = time.thread_time()
        try:
            return self.function()
        finally:
            self.worked_s = time.thread_time() - began

    def settle(self, done: "asyncio.Future[Any]") -> None:
        """Set the result or the error, if it is still awaited."""
        error = done.exception()
        if self.result.done():
            return
        if error is not None:
            self.result.set_exception(error)
        else:
            self.result.set_result(done.result())


class Offload:
    """Runs functions on its thread, for one event loop. `responses` counts the requests served without it."""

    def __init__(self, *, most_waiting: int = _MOST_WAITING) -> None:
        """Let at most `most_waiting` functions wait, and half of these for one address."""
        self._most_waiting = most_waiting
        self._waiting: dict[str, deque[_Work]] = {}
        self._count = 0
        self._is_busy = False
        self.responses = self._responses_before = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="offload")

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what the function returns. When this is cancelled, a function that has begun runs to its end.

        Raises:
            Unavailable: too many functions wait already.
        """
        works = self._waiting_of_caller()
        work = _Work(function, asyncio.get_running_loop().create_future())
        works.append(work)
        self._count += 1
        try:
            if not self._is_busy:
                self._begin()
            result: Result = await work.result
            return result
        finally:
            self._count -= 1

    async def run_if_large(self, size: int, function: Callable[[], Result]) -> Result:
        """Return what the function returns. It reads `size` bytes: if these are few, on the event loop."""
        return function() if size <= LARGE_BYTES else await self.run(function)

    async def steps(self, work: Iterator[Result]) -> AsyncIterator[Result]:
        """Yield what the iterator yields; each of its steps runs on the thread."""
        while (step := await self.run(partial(next, work, _END))) is not _END:
            yield step

    def _waiting_of_caller(self) -> deque[_Work]:
        """Return the waiting work of the caller's address. Raises `Unavailable` when there is no room for more."""
        if (current := caller.get()) is not None:
            current.was_offloaded = True
        address = calling_address()
        works = self._waiting.get(address, ())
        if self._count >= self._most_waiting or len(works) >= max(self._most_waiting // 2, 1):
            raise Unavailable(_RETRY_AFTER_S, "the time to read a large request")
        return self._waiting.setdefault(address, deque())

    def _begin(self) -> None:
        """Begin with the next work: that of the address that was served the longest ago."""
        self._is_busy = False
        while self._waiting and not self._is_busy:
            address, works = next(iter(self._waiting.items()))
            del self._waiting[address]
            work = works.popleft()
            if works:
                self._waiting[address] = works
            if not work.result.done():  # else it was cancelled
                self._is_busy = True
                done = asyncio.get_running_loop().run_in_executor(self._pool, work.run)
                done.add_done_callback(partial(self._end, work))

    def _end(self, work: _Work, done: "asyncio.Future[Any]") -> None:
        work.settle(done)
        pause_s = min(work.worked_s**2 / _EVEN_PAUSE_S, _LONGEST_PAUSE_S)
        if self.responses == self._responses_before:
            self._begin()
        else:
            self._responses_before = self.responses
            asyncio.get_running_loop().call_later(pause_s, self._begin)


def shorten_switch_interval() -> None:
    """Have computing threads release the interpreter's lock more often."""
    sys.setswitchinterval(_SWITCH_S)
