"""Loads the SQL files in `queries/`: one statement a file, named after what it does."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from taskmill.domain.parts import Part

Item = TypeVar("Item")

QUERIES = Path(__file__).parent / "queries"


# Marks a line of a statement that is only for its form for one row.
FOR_ONE: Final = "-- For one: "


@cache
def statement(name: str, *, for_one: bool = False) -> str:
    """Return the text of `queries/<name>.sql`; `for_one`: with the lines that are only for one row.

    For a single id PostgreSQL finds the partition before it begins. For an array it opens all weeks, which costs
    0.05 ms with 6 of them and 0.4 ms with 60 (2026-11-26).
    """
    text = (QUERIES / f"{name}.sql").read_text(encoding="utf-8")
    if not for_one:
        return text
    if FOR_ONE not in text:
        raise ValueError(f"{name} has no form for one row")
    return text.replace(FOR_ONE, "")


@cache
def notifies(name: str) -> bool:
    """Return whether other processes must know when this statement has changed something: its header says so."""
    return "\n-- Notifies." in statement(name)


def part(
    rows: Sequence[asyncpg.Record], limit: int, make: Callable[[asyncpg.Record], Item]
) -> Part[Item]:
    """Make a page of rows that were fetched with `limit + 1`; their column `found` counts all that were found."""
    items = [make(row) for row in rows[:limit]]
    return Part(items, has_more=bool(rows) and rows[0]["found"] > len(items))


def columns(rows: Iterable[Sequence[object]]) -> list[Sequence[object]]:
    """Turn rows into the arrays that a statement unnests.

    A column of nulls only becomes an empty array, which `unnest` fills up with nulls: the driver checks every
    element of an array for being an array, which is a third of its work.
    """
    return [
        () if column.count(None) == len(column) else column for column in zip(*rows, strict=True)
    ]
