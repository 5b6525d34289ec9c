"""Two questions at once."""

import asyncio

import pytest

from taskmill.dashboard.together import both
from taskmill.domain.errors import Unavailable


async def test_both_are_under_way_at_once() -> None:
    met = asyncio.Barrier(2)

    async def asked(answer: str) -> str:
        await met.wait()
        return answer

    async with asyncio.timeout(5):
        assert await both(asked("one"), asked("other")) == ("one", "other")


async def test_the_error_of_one_is_raised_as_it_is_and_the_other_given_up() -> None:
    given_up = asyncio.Event()

    async def fails() -> None:
        await asyncio.sleep(0)
        raise Unavailable(1, "the database")

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    with pytest.raises(Unavailable, match="the database"):
        await both(fails(), waits())
    assert given_up.is_set()
