"""Loads the SQL files in `queries/`: one statement a file, named after what it does."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

QUERIES = Path(__file__).parent / "queries"


@cache
def statement(name: str) -> str:
    """Return the text of `queries/<name>.sql`."""
    return (QUERIES / f"{name}.sql").read_text(encoding="utf-8")


@cache
def rings(name: str) -> bool:
    """Tell whether others are to hear of it when this statement has changed something: its header says so."""
    return "\n-- Rings." in statement(name)


def columns(rows: Iterable[Sequence[object]]) -> list[Sequence[object]]:
    """Turn rows into the arrays that a statement unnests.

    A column of nothing but nulls becomes an empty array, which `unnest` fills up with nulls: the driver
    asks every element of an array whether it is an array, and that is a third of its work.
    """
    return [
        () if column.count(None) == len(column) else column for column in zip(*rows, strict=True)
    ]
