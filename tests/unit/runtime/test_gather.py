"""Two queries at once."""

import asyncio

import pytest

from taskmill.domain.errors import Unavailable
from taskmill.runtime.gather import gather


async def test_both_are_under_way_at_once() -> None:
    met = asyncio.Barrier(2)

    async def query(result: str) -> str:
        await met.wait()
        return result

    async with asyncio.timeout(5):
        assert await gather(query("one"), query("other")) == ("one", "other")


@pytest.mark.parametrize("failing", [0, 1])
async def test_the_error_of_one_is_raised_as_it_is_once_the_other_is_done(failing: int) -> None:
    """Cancelling a statement would cost its connection."""
    has_failed = asyncio.Event()
    ends: list[str] = []

    async def fails() -> None:
        has_failed.set()
        raise Unavailable(1, "the database")

    async def goes_on() -> None:
        await has_failed.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        ends.append("done")

    queries = [goes_on(), goes_on()]
    queries[failing].close()
    queries[failing] = fails()
    with pytest.raises(Unavailable, match="the database"):
        await gather(*queries)
    assert ends == ["done"]
