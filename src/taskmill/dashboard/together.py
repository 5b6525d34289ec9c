"""Several questions of one page at once: the database answers them side by side."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


async def both(
    first: Coroutine[Any, Any, First], second: Coroutine[Any, Any, Second]
) -> tuple[First, Second]:
    """Return both answers. When one fails the other is given up, and its error raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            one, other = group.create_task(first), group.create_task(second)
    except* Exception as failed:  # noqa: BLE001 - it goes on to the caller
        raise failed.exceptions[0] from None
    return one.result(), other.result()
