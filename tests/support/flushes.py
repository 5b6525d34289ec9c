"""A flush for batchers that the test may block, or have fail."""

import asyncio


class Bad(Exception):
    """An item's own fault."""


def is_bad(error: Exception) -> bool:
    return isinstance(error, Bad)


async def iterate(count: int = 5) -> None:
    """Let the loop iterate a few times."""
    for _ in range(count):
        await asyncio.sleep(0)


class FakeFlush:
    """A flush that the test may block: it records the batches and returns the double of each item."""

    def __init__(self, *, is_blocked: bool = False) -> None:
        self.batches: list[list[int]] = []
        self.at_once = 0
        self.most_at_once = 0
        self.may_go = asyncio.Event()
        self.fails_with: Exception | None = None
        if not is_blocked:
            self.may_go.set()

    async def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await self.may_go.wait()
        finally:
            self.at_once -= 1
        if self.fails_with is not None:
            raise self.fails_with
        if any(item < 0 for item in items):
            raise Bad
        return [2 * item for item in items]
