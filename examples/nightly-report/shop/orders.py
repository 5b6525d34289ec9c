"""Takes orders: the order, the task that confirms it, and the change of the stock are one commit."""

from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.database import Order, Stock
from shop.tasks import confirm_order
from taskmill import enqueue


class OutOfStockError(Exception):
    """The stock is too small."""


def place(
    session: Session, *, day: date, customer: str, item: str, quantity: int, cents: int
) -> int:
    """Place an order in the session's transaction: it is confirmed after the commit, and gone after a rollback.

    Returns:
        The order's number.

    Raises:
        OutOfStockError: The stock is too small; the transaction must be rolled back.
    """
    order = Order(day=day, customer=customer, item=item, quantity=quantity, cents=cents)
    session.add(order)
    session.flush()  # gives it its number
    enqueue(session, **confirm_order.request(order=order.id))
    # Last: all other orders of this item wait for this row until the commit.
    stock = session.scalar(select(Stock).where(Stock.item == item).with_for_update())
    if stock is None or stock.quantity < quantity:
        raise OutOfStockError(f"there are no {quantity} of {item}")
    stock.quantity -= quantity
    return order.id


def stock_up(session: Session, item: str, quantity: int) -> None:
    """Set how much of an item there is."""
    session.merge(Stock(item=item, quantity=quantity))
