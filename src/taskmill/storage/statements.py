"""Loads the SQL files in `queries/`: one statement a file, named after what it does."""

from functools import cache
from pathlib import Path

QUERIES = Path(__file__).parent / "queries"


@cache
def statement(name: str) -> str:
    """Return the text of `queries/<name>.sql`."""
    return (QUERIES / f"{name}.sql").read_text(encoding="utf-8")
