"""One thread for what would hold the event loop: large requests are read there, one after another.

Work comes in steps of some milliseconds, whoever has more than one waits again for each, and addresses take turns.
So a large request does not keep small ones waiting, nor the many of one address those of others. What a step does
while it holds the interpreter's lock nobody can hurry; so the thread rests after each step while others are
answered, and the event loop has the lock for itself most of the time.
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

from taskmill.domain.errors import Unavailable
from taskmill.runtime.connections import address_group

Result = TypeVar("Result")

LARGE_BYTES: Final = 64 * 1024
"""From here on a request takes so long to read that others would notice."""

# How long a thread that computes keeps the interpreter from the loop, each time after the loop has waited for
# something. Python's own is 5 ms.
_SWITCH_S: Final = 0.0005
_MOST_WAITING: Final = 256
_RETRY_AFTER_S: Final = 1.0
# A step of so long is followed by a rest of as long, one of twice that by one of four times as long, and so on, if
# others were answered meanwhile: the longer the lock is kept, the more of them wait for it, and each the longer.
_EVEN_S: Final = 0.01
_LONGEST_REST_S: Final = 0.5
_END: Final = object()


@dataclass(slots=True, kw_only=True)
class Caller:
    """Who waits for an answer: a request's address, and whether something was done apart for it."""

    host: str
    was_apart: bool = False


caller: Final[ContextVar[Caller | None]] = ContextVar("caller", default=None)
"""The caller for whom something is done in this context, if there is one."""


@dataclass(slots=True)
class _Work:
    """A function that waits for its turn, and its answer."""

    function: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    worked_s: float = field(default=0.0)

    def run(self) -> Any:  # noqa: ANN401 - whatever the function returns
        """Run it, on the thread."""
        began = time.thread_time()
        try:
            return self.function()
        finally:
            self.worked_s = time.thread_time() - began

    def settle(self, done: "asyncio.Future[Any]") -> None:
        """Answer with what became of it, if somebody still waits for that."""
        error = done.exception()
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(done.result())


class Offload:
    """Runs functions on its thread. It is used by one event loop."""

    def __init__(self, *, most_waiting: int = _MOST_WAITING) -> None:
        """Have so many wait at most, and half of these for one address."""
        self._most_waiting = most_waiting
        self._waiting: dict[str, deque[_Work]] = {}
        self._count = 0
        self._is_taken = False
        self._others = self._others_before = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="offload")

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return what the function returns. When this is cancelled it runs to its end, if it has begun.

        Raises:
            Unavailable: too many wait already.
        """
        works = self._waiting_of_caller()
        work = _Work(function, asyncio.get_running_loop().create_future())
        works.append(work)
        self._count += 1
        try:
            if not self._is_taken:
                self._begin()
            answer: Result = await work.answer
            return answer
        finally:
            self._count -= 1

    async def run_if_large(self, size: int, function: Callable[[], Result]) -> Result:
        """Return what the function returns, which reads so many bytes: few of them are read here and now."""
        return function() if size <= LARGE_BYTES else await self.run(function)

    async def steps(self, work: Iterator[Result]) -> AsyncIterator[Result]:
        """Yield what the iterator yields; each of its steps runs on the thread."""
        while (step := await self.run(partial(next, work, _END))) is not _END:
            yield step

    def note_answer(self) -> None:
        """Note that a request was answered for which nothing was done here."""
        self._others += 1

    def _waiting_of_caller(self) -> deque[_Work]:
        """Return what waits for the caller's address; there is room for more."""
        address = ""
        if (asking := caller.get()) is not None:
            asking.was_apart = True
            address = address_group(asking.host)
        works = self._waiting.get(address, ())
        if self._count >= self._most_waiting or len(works) >= max(self._most_waiting // 2, 1):
            raise Unavailable(_RETRY_AFTER_S, "the time to read a large request")
        return self._waiting.setdefault(address, deque())

    def _begin(self) -> None:
        """Begin with the next one: of the address that has waited for its turn for the longest."""
        self._is_taken = False
        while self._waiting and not self._is_taken:
            address, works = next(iter(self._waiting.items()))
            del self._waiting[address]
            work = works.popleft()
            if works:
                self._waiting[address] = works
            if not work.answer.done():  # else nobody waits for it any more
                self._is_taken = True
                done = asyncio.get_running_loop().run_in_executor(self._pool, work.run)
                done.add_done_callback(partial(self._end, work))

    def _end(self, work: _Work, done: "asyncio.Future[Any]") -> None:
        work.settle(done)
        rest_s = min(work.worked_s**2 / _EVEN_S, _LONGEST_REST_S)
        if self._others == self._others_before:
            self._begin()
        else:
            self._others_before = self._others
            asyncio.get_running_loop().call_later(rest_s, self._begin)


def let_the_loop_in() -> None:
    """Have threads of this process give way to each other soon."""
    sys.setswitchinterval(_SWITCH_S)
