"""What all tables of the schema are made with."""

from typing import Final

from sqlalchemy import Column, DateTime, MetaData, text

metadata: Final = MetaData(schema="taskmill")

TIME: Final = DateTime(timezone=True)
NOW: Final = text("now()")
CLOCK: Final = text("clock_timestamp()")


def required(name: str, kind: object, default: object = None) -> Column[object]:
    """Return a column that always has a value; `default` is what the database gives it."""
    return Column(name, kind, nullable=False, server_default=default)  # type: ignore[arg-type]
