"""Runs plain functions in threads, since they would block the event loop.

`concurrent.futures` won't do: at its end Python waits for its threads, and a function that never returns would
keep a stopping worker for ever. These are left behind.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """As many threads as there are calls under way; one that is idle is used again."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    async def run(self, function: Callable[[], T]) -> T:
        """Call the function in a thread, in the context of the caller, and return what it returns.

        A thread can't be cancelled: this waits for the function's end, however often it is cancelled meanwhile.
        Whoever cancels and does not want to wait abandons it, as the `AttemptPool` does.
        """
        loop, context = asyncio.get_running_loop(), copy_context()
        ended: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            try:
                result = context.run(function)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
                _notify(loop, _fail, ended, error)
            else:
                _notify(loop, _succeed, ended, result)

        self._hand_over(call)
        while not ended.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([ended])
        return ended.result()

    def _hand_over(self, call: Callable[[], None]) -> None:
        with self._lock:
            is_free = self._idle > 0
            self._idle -= is_free
        if not is_free:
            threading.Thread(target=self._work, name="handler", daemon=True).start()
        self._calls.put(call)

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            call()
            del call  # or what the function was given would live until the next call
            with self._lock:
                self._idle += 1


def _succeed(ended: "asyncio.Future[T]", result: T) -> None:
    ended.set_result(result)


def _fail(ended: "asyncio.Future[T]", error: BaseException) -> None:
    if isinstance(error, StopIteration):
        # No future takes it.
        raised = RuntimeError("it raised StopIteration")
        raised.__cause__ = error
        error = raised
    ended.set_exception(error)


def _notify(loop: asyncio.AbstractEventLoop, *news: object) -> None:
    """Have the loop do something; a loop that has ended wants nothing any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(*news)  # type: ignore[arg-type]
