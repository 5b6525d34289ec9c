"""The report of a day: what was sold, as CSV and as HTML. It knows nothing about tasks."""

import csv
import io
from collections.abc import Sequence
from datetime import date
from html import escape
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shop.database import Order


class Sale(NamedTuple):
    """How much of an item was sold."""

    item: str
    quantity: int
    cents: int


def sales_of(session: Session, day: date) -> Sequence[Sale]:
    """Return what was sold on a day, the largest sum first."""
    cents = func.sum(Order.cents)
    rows = session.execute(
        select(Order.item, func.sum(Order.quantity), cents)
        .where(Order.day == day)
        .group_by(Order.item)
        .order_by(cents.desc(), Order.item)
    )
    return [Sale(*row) for row in rows]


def as_csv(sales: Sequence[Sale]) -> str:
    """Return a table for programs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Sale._fields)
    writer.writerows(sales)
    return text.getvalue()


def as_html(day: date, sales: Sequence[Sale]) -> str:
    """Return a page for people."""
    rows = "".join(
        f"<tr><td>{escape(sale.item)}</td><td>{sale.quantity}</td><td>{sale.cents / 100:.2f}</td></tr>\n"
        for sale in sales
    )
    total = sum(sale.cents for sale in sales) / 100
    return (
        f"<!doctype html>\n<title>Sales of {day}</title>\n<h1>Sales of {day}</h1>\n"
        f"<table>\n<tr><th>Item</th><th>Quantity</th><th>Sum</th></tr>\n{rows}</table>\n"
        f"<p>Total: {total:.2f}</p>\n"
    )


def write(path: Path, text: str) -> Path:
    """Write a file as a whole or not at all, whenever the worker dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: an attempt whose worker was lost may still be writing.
    unfinished = path.with_name(f".{path.name}.{token_hex(4)}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return path
