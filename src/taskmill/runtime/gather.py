"""Runs two queries concurrently."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

First = TypeVar("First")
Second = TypeVar("Second")


async def gather(
    first: Coroutine[Any, Any, First], second: Coroutine[Any, Any, Second]
) -> tuple[First, Second]:
    """Return both results. When one fails, the other still runs to its end, and the error is raised as it is.

    Cancelling a statement would cost its connection, which other statements need.
    """
    async with asyncio.TaskGroup() as group:
        one, other = group.create_task(_outcome(first)), group.create_task(_outcome(second))
    (result, error), (other_result, other_error) = one.result(), other.result()
    failed = error or other_error
    if failed is not None:
        raise failed
    return cast("First", result), cast("Second", other_result)


async def _outcome(query: Coroutine[Any, Any, First]) -> tuple[First | None, Exception | None]:
    try:
        return await query, None
    except Exception as error:  # noqa: BLE001 - raised in the caller, once the other is done
        return None, error
