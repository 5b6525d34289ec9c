"""The shop's tables, and sessions on the database that it shares with Taskmill."""

import functools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

from sqlalchemy import URL, CheckConstraint, Engine, create_engine, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    """The shop's tables."""


class Order(Base):
    """An order; `cents` is its total."""

    __tablename__ = "shop_order"

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(index=True)
    customer: Mapped[str]
    item: Mapped[str]
    quantity: Mapped[int]
    cents: Mapped[int]
    confirmed_at: Mapped[datetime | None]


class Stock(Base):
    """How much of an item is left."""

    __tablename__ = "shop_stock"
    __table_args__ = (CheckConstraint("quantity >= 0"),)

    item: Mapped[str] = mapped_column(primary_key=True)
    quantity: Mapped[int]


@functools.cache
def engine() -> Engine:
    """Return the pool of connections; it is made on first use, as `up` has no database before it runs."""
    url = address()
    # A report that waits for a lock must try again later instead of blocking its thread.
    options = {"options": "-c lock_timeout=2s"} if url.get_backend_name() == "postgresql" else {}
    return create_engine(url, connect_args=options)


def address() -> URL:
    """Return SHOP_DATABASE_URL, else the database of the `taskmill up` that runs in this folder."""
    chosen = os.environ.get("SHOP_DATABASE_URL")
    url = make_url(chosen or json.loads(Path(".taskmill/service.json").read_text())["database_url"])
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


@contextmanager
def transaction() -> Iterator[Session]:
    """Open a session whose work is committed at the end, or rolled back by an exception."""
    with Session(engine()) as session, session.begin():
        yield session
