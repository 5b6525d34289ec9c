"""Arrays as parameters of statements: how asyncpg finds out that something is one."""

import sys
from collections import deque
from types import FrameType

import asyncpg
import pytest

from tests.support.stage import Stage

ROWS = "SELECT array_agg(one ORDER BY one) FROM unnest($1::text[]) AS one"


@pytest.mark.parametrize(
    "given",
    [
        ["a", "b"],
        ("a", "b"),
        {"a", "b"},
        frozenset("ab"),
        deque("ab"),
        {"a": 1, "b": 2}.keys(),
        {1: "a", 2: "b"}.values(),
    ],
    ids=lambda given: type(given).__name__,
)
async def test_whatever_has_elements_can_be_an_array(stage: Stage, given: object) -> None:
    assert await stage.sql.fetchval(ROWS, given) == ["a", "b"]


async def test_no_element_of_an_array_is_asked_by_an_abstract_class(stage: Stage) -> None:
    asked = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "__instancecheck__":
            asked.append(frame)

    sys.setprofile(note)
    try:
        await stage.sql.fetchval(ROWS, ["a"] * 1000)
    finally:
        sys.setprofile(None)
    assert len(asked) < 100


@pytest.mark.parametrize("given", ["ab", {"a": 1}, 7])
async def test_what_is_no_array_is_refused(stage: Stage, given: object) -> None:
    with pytest.raises(asyncpg.DataError, match="a sized iterable container expected"):
        await stage.sql.fetchval(ROWS, given)
