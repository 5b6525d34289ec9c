"""Runs plain functions in threads, since they would block the event loop.

`concurrent.futures` is not suitable: Python waits for its threads at exit, so a function that never returns would
keep a worker from stopping. The threads here are daemons.
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
    """As many threads as there are concurrent calls; idle threads are reused."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0

    async def run(self, function: Callable[[], T]) -> T:
        """Call the function in a thread, in the context of the caller, and return its result.

        A thread can't be cancelled: this waits until the function ends, however often it is cancelled meanwhile.
        A caller that does not want to wait can abandon it, as the `AttemptPool` does.
        """
        loop, context = asyncio.get_running_loop(), copy_context()
        ended: asyncio.Future[T] = loop.create_future()

        def call() -> None:
            try:
                result = context.run(function)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is passed to the caller
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
            del call  # else its arguments would live until the next call
            with self._lock:
                self._idle += 1


def _succeed(ended: "asyncio.Future[T]", result: T) -> None:
    ended.set_result(result)


def _fail(ended: "asyncio.Future[T]", error: BaseException) -> None:
    if isinstance(error, StopIteration):
        # A future does not accept it.
        raised = RuntimeError("it raised StopIteration")
        raised.__cause__ = error
        error = raised
    ended.set_exception(error)


def _notify(loop: asyncio.AbstractEventLoop, *call: object) -> None:
    """Schedule a call in the loop, unless the loop has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(*call)  # type: ignore[arg-type]
