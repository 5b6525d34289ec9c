"""Waiting in tests: until something is true, never for a fixed time."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_until(condition: Callable[[], bool], what: str, *, timeout_s: float = 15.0) -> None:
    """Return as soon as `condition` is true; fail with `what` after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s  # noqa: TID251 - a test's timeout is real time
    while not condition():
        if time.monotonic() > deadline:  # noqa: TID251 - see above
            raise AssertionError(f"not within {timeout_s} s: {what}")
        threading.Event().wait(0.01)


async def eventually(
    probe: Callable[[], Awaitable[Found]], what: str, *, timeout_s: float = 15.0
) -> Found:
    """Return what `probe` returns as soon as that is true; fail with `what` after `timeout_s` seconds."""
    deadline = time.monotonic() + timeout_s  # noqa: TID251 - a test's timeout is real time
    while not (found := await probe()):
        if time.monotonic() > deadline:  # noqa: TID251 - see above
            raise AssertionError(f"not within {timeout_s} s: {what}")
        await asyncio.sleep(0.01)
    return found
