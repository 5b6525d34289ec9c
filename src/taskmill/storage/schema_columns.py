"""Column types and defaults that all tables share."""

from typing import Final

from sqlalchemy import Column, DateTime, MetaData, text

metadata: Final = MetaData(schema="taskmill")

TIME: Final = DateTime(timezone=True)
NOW: Final = text("now()")
CLOCK: Final = text("clock_timestamp()")


def required(name: str, kind: object, default: object = None) -> Column[object]:
    """Return a column that is NOT NULL; `default` is its default in the database."""
    return Column(name, kind, nullable=False, server_default=default)  # type: ignore[arg-type]
