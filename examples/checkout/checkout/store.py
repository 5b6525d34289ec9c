"""The shop's orders, and the results of calls, in SQLite."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, Field

State = Literal["placed", "unpaid", "paid", "done"]
STATES: tuple[State, ...] = get_args(State)

SCHEMA = """
CREATE TABLE IF NOT EXISTS shop_order (
    id TEXT PRIMARY KEY, item TEXT, cents INTEGER, card TEXT, state TEXT, reason TEXT
);
CREATE TABLE IF NOT EXISTS call (id TEXT PRIMARY KEY, claim_no INTEGER, result TEXT);
CREATE TABLE IF NOT EXISTS receipt (order_id TEXT PRIMARY KEY, text TEXT);
"""


class Wanted(BaseModel, frozen=True):
    """What a customer orders."""

    item: str = Field(min_length=1, max_length=100)
    cents: int = Field(gt=0, le=10_000_000)
    card: str = Field(min_length=1, max_length=40)


class Order(Wanted, frozen=True):
    """An order and its state; `reason` is why it is unpaid."""

    id: str
    state: State = "placed"
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call of Taskmill: its `webhook-id` is the same for each attempt, the claim's number grows."""

    id: str
    claim_no: int


class StaleCallError(Exception):
    """Another worker has called since, so this one has lost the task."""


class Store:
    """The database in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "shop.db"
        with self._transaction() as database:
            database.executescript(SCHEMA)

    def place(self, order_id: str, wanted: Wanted) -> Order:
        """Store an order unless there is one of this id; return the stored one."""
        with self._transaction() as database:
            database.execute(
                "INSERT INTO shop_order VALUES (?, ?, ?, ?, 'placed', NULL) ON CONFLICT DO NOTHING",
                (order_id, wanted.item, wanted.cents, wanted.card),
            )
        return self.order(order_id)

    def order(self, order_id: str) -> Order:
        """Return an order. Raises `KeyError`."""
        with self._transaction() as database:
            row = database.execute(
                "SELECT id, item, cents, card, state, reason FROM shop_order WHERE id = ?",
                (order_id,),
            ).fetchone()
        if row is None:
            raise KeyError(order_id)
        return Order.model_validate(dict(row))

    def advance(self, order_id: str, state: State, reason: str | None = None) -> None:
        """Move an order forward, never back: events come in any order, and more than once."""
        earlier = STATES[: STATES.index(state)]
        marks = ", ".join("?" * len(earlier))
        with self._transaction() as database:
            database.execute(
                f"UPDATE shop_order SET state = ?, reason = ? WHERE id = ? AND state IN ({marks})",  # noqa: S608 - marks only
                (state, reason, order_id, *earlier),
            )

    def begin(self, call: Call) -> str | None:
        """Note a call; return the result of an earlier attempt, if there is one.

        Raises:
            StaleCallError: Its worker has lost the task.
        """
        with self._transaction() as database:
            [claim_no, result] = database.execute(
                "INSERT INTO call VALUES (?, ?, NULL) "
                "ON CONFLICT DO UPDATE SET claim_no = max(claim_no, excluded.claim_no) "
                "RETURNING claim_no, result",
                (call.id, call.claim_no),
            ).fetchone()
        if call.claim_no < claim_no:
            raise StaleCallError
        return None if result is None else str(result)

    def finish(self, call: Call, result: str, *, receipt: tuple[str, str] | None = None) -> None:
        """Store the result of a call, and the receipt that it wrote, in one transaction."""
        with self._transaction() as database:
            database.execute("UPDATE call SET result = ? WHERE id = ?", (result, call.id))
            if receipt is not None:
                database.execute(
                    "INSERT INTO receipt VALUES (?, ?) ON CONFLICT DO NOTHING", receipt
                )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=10)) as database, database:
            database.row_factory = sqlite3.Row
            yield database
