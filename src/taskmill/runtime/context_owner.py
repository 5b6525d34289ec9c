"""The base of what is used as an async context manager because its own parts are."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Self


class ContextOwner:
    """Enters the context managers that it owns, in order, and leaves them in reverse."""

    def __init__(self, *owned: AbstractAsyncContextManager[object]) -> None:
        self._owned = owned
        self._entered = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for one in self._owned:
                await stack.enter_async_context(one)
            self._entered = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._entered.__aexit__(kind, error, trace)
