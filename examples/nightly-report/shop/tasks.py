"""The shop's task types: the confirmation of an order, and the report of a day."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from sqlalchemy.exc import OperationalError

from shop import database, report
from shop.database import Order
from taskmill import Context, PermanentFailure, RetryLater, RetryPolicy, Taskmill

app = Taskmill()
PATIENT = RetryPolicy(base=timedelta(seconds=10), maximum=timedelta(minutes=10))


@app.task("confirm-order", queue="mail", max_attempts=8, retry=PATIENT, timeout=30)
def confirm_order(order: int, context: Context) -> str:
    """Mail the customer, usually once; after a worker that died in between, twice."""
    with retrying_outages(), database.transaction() as session:
        found = session.get(Order, order, with_for_update=True)
        if found is None:
            raise PermanentFailure(f"there is no order {order}")
        if found.confirmed_at is None:
            context.logger.info("mail", to=found.customer, text=f"Your order of {found.item}")
            found.confirmed_at = datetime.now(UTC)
        return found.customer


@app.task("nightly-report", queue="reports", max_attempts=8, retry=PATIENT, timeout=600)
def nightly_report(day: date, context: Context) -> list[Path]:
    """Write what was sold on a day as CSV and as HTML; repeating it writes the same files again."""
    ends_at = datetime.combine(day + timedelta(days=1), time(), UTC)
    if (left := ends_at - datetime.now(UTC)) > timedelta(0):
        raise RetryLater(f"{day} is not over yet", after=left)
    with retrying_outages(), database.transaction() as session:
        sales = report.sales_of(session, day)
    context.progress(0.5, f"{len(sales)} items were sold")
    folder = Path(os.environ.get("SHOP_REPORTS", "reports"))
    return [
        report.write(folder / f"{day}.csv", report.as_csv(sales)),
        report.write(folder / f"{day}.html", report.as_html(day, sales)),
    ]


@contextmanager
def retrying_outages() -> Iterator[None]:
    """Try again later when the database is away, or a lock is held too long; other errors pass."""
    try:
        yield
    except OperationalError as error:
        [reason, *_] = str(error.orig).splitlines()
        raise RetryLater(f"the database is not available: {reason}") from error
