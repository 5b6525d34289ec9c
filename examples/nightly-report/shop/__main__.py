"""The shop's commands.

python -m shop init                                 makes the shop's tables, with a dozen breads
python -m shop order ann@example.com bread 2 900    places an order, for 9.00 (--day: as if then)
python -m shop report [DAY]                         requests the report of a day (yesterday)
"""

import argparse
import os
import sys
from datetime import UTC, date, datetime, timedelta

from shop import database, orders
from shop.tasks import nightly_report
from taskmill import Client
from taskmill.client import ClientError


def main() -> None:
    """Run one command."""
    arguments = parser().parse_args()
    match arguments.command:
        case "init":
            set_up()
        case "order":
            place(arguments)
        case "report":
            try:
                request_report(arguments.day)
            except ClientError as error:
                sys.exit(str(error))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m shop",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(dest="command", required=True)
    commands.add_parser("init")
    order = commands.add_parser("order")
    order.add_argument("customer")
    order.add_argument("item")
    order.add_argument("quantity", type=int)
    order.add_argument("cents", type=int)
    today = datetime.now(UTC).date()
    order.add_argument("--day", type=date.fromisoformat, default=today)
    report = commands.add_parser("report")
    yesterday = today - timedelta(days=1)
    report.add_argument("day", type=date.fromisoformat, nargs="?", default=yesterday)
    return made


def set_up() -> None:
    """Make the tables unless they exist."""
    database.Base.metadata.create_all(database.engine())
    with database.transaction() as session:
        orders.stock_up(session, "bread", 12)


def place(arguments: argparse.Namespace) -> None:
    """Place an order and print its number."""
    try:
        with database.transaction() as session:
            number = orders.place(
                session,
                day=arguments.day,
                customer=arguments.customer,
                item=arguments.item,
                quantity=arguments.quantity,
                cents=arguments.cents,
            )
    except orders.OutOfStockError as error:
        sys.exit(str(error))
    print(f"order {number}")


def request_report(day: date) -> None:
    """Create the task of a day's report; repeating it gives the same task."""
    with Client(os.environ.get("TASKMILL_URL", "http://127.0.0.1:8000")) as client:
        task = client.create(
            **nightly_report.request(day=day) | {"idempotency_key": f"nightly-report-{day}"}
        )
    print(f"{task.id} {task.status}")


if __name__ == "__main__":
    main()
