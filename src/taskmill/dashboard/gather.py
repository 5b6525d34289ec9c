"""Several questions of one page at once: the database answers them side by side."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

First = TypeVar("First")
Second = TypeVar("Second")


async def gather(
    first: Coroutine[Any, Any, First], second: Coroutine[Any, Any, Second]
) -> tuple[First, Second]:
    """Return both answers. When one fails the other is heard to its end, and the error raised as it is.

    A statement that is given up costs its connection, which the hot statements would miss.
    """
    async with asyncio.TaskGroup() as group:
        one, other = group.create_task(_heard(first)), group.create_task(_heard(second))
    (answer, error), (other_answer, other_error) = one.result(), other.result()
    failed = error or other_error
    if failed is not None:
        raise failed
    return cast("First", answer), cast("Second", other_answer)


async def _heard(question: Coroutine[Any, Any, First]) -> tuple[First | None, Exception | None]:
    try:
        return await question, None
    except Exception as error:  # noqa: BLE001 - it goes on to the caller, once the other is done
        return None, error
