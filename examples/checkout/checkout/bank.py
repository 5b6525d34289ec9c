"""Stands for a payment provider: it charges once for each key, declines some cards, and is busy at times.

It is another system, with a file of its own: nothing here is in the shop's transactions.
"""

import sqlite3
from contextlib import closing
from pathlib import Path


class BusyError(Exception):
    """It is busy; try again in a second."""


class DeclinedError(Exception):
    """The card is declined for good."""


def charge(books: Path, *, key: str, card: str, cents: int) -> None:
    """Take the money once for each key, however often it is called.

    Raises:
        BusyError: At the first call for a key with the card `busy`.
        DeclinedError: For the card `declined`.
    """
    if card == "declined":
        raise DeclinedError
    with closing(sqlite3.connect(books, timeout=10)) as connection, connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS charge (key TEXT PRIMARY KEY, cents INTEGER, calls INTEGER)"
        )
        [calls] = connection.execute(
            "INSERT INTO charge VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET calls = calls + 1 RETURNING calls",
            (key, cents),
        ).fetchone()
    if card == "busy" and calls == 1:
        raise BusyError
