"""Loads the SQL files in `queries/`: one statement a file, named after what it does."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from taskmill.domain.parts import Part

Item = TypeVar("Item")

QUERIES = Path(__file__).parent / "queries"


# Mark lines of a statement that are only for its form for one row, or for rows of which some have an owner.
FOR_ONE: Final = "-- For one: "
FOR_OWNED: Final = "-- For owned: "
_NAMED: Final = re.compile(r"\$[a-z_]+")


@cache
def statement(name: str, *, for_one: bool = False, for_owned: bool = False) -> str:
    """Return the text of `queries/<name>.sql`.

    `for_one`: with the lines that are only for one row; `for_owned`: with those that are only for owners, whose
    named parameters come after all others, in the order of the header.

    For a single id PostgreSQL finds the partition before it begins. For an array it opens all weeks, which costs
    0.05 ms with 6 of them and 0.4 ms with 60 (2026-11-26).
    """
    text = (QUERIES / f"{name}.sql").read_text(encoding="utf-8")
    for mark, is_wanted in ((FOR_ONE, for_one), (FOR_OWNED, for_owned)):
        if is_wanted and mark not in text:
            raise ValueError(f"{name} has no lines {mark.strip()}")
        text = text.replace(mark, "") if is_wanted else text
    return _numbered(text) if for_owned else text


def _numbered(text: str) -> str:
    """Replace the names of parameters by the next numbers."""
    used = max(map(int, re.findall(r"\$([0-9]+)", text)))
    names = dict.fromkeys(_NAMED.findall(text))
    numbers = {name: f"${number}" for number, name in enumerate(names, used + 1)}
    return _NAMED.sub(lambda found: numbers[found[0]], text)


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
