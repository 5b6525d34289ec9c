"""Takes orders: the order, the task that confirms it, and what it takes from the stock are one commit."""

from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from shop.database import Order, Stock
from shop.tasks import confirm_order
from taskmill import enqueue


class OutOfStockError(Exception):
    """There is not so much of it."""


def place(
    session: Session, *, day: date, customer: str, item: str, quantity: int, cents: int
) -> int:
    """Place an order in the session's transaction: with its commit it will be confirmed, without it nothing was.

    Returns:
        The order's number.

    Raises:
        OutOfStockError: there is not so much; the transaction is to be rolled back.
    """
    order = Order(day=day, customer=customer, item=item, quantity=quantity, cents=cents)
    session.add(order)
    session.flush()  # gives it its number
    enqueue(session, **confirm_order.request(order=order.id))
    # Last, as everybody who orders this item waits for this row until the commit.
    stock = session.scalar(select(Stock).where(Stock.item == item).with_for_update())
    if stock is None or stock.quantity < quantity:
        raise OutOfStockError(f"there are no {quantity} of {item}")
    stock.quantity -= quantity
    return order.id


def stock_up(session: Session, item: str, quantity: int) -> None:
    """Set how much of an item there is."""
    session.merge(Stock(item=item, quantity=quantity))
