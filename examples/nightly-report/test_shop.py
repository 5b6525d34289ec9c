"""Tests of the shop that need no services: its tables are in SQLite, its tasks in memory.

python -m pytest test_shop.py
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from shop import database, orders
from shop.database import Order
from shop.tasks import app, confirm_order, nightly_report
from taskmill.testing import ServiceInMemory, attempt

MONDAY = date(2026, 11, 23)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database and a folder for the reports of each test."""
    monkeypatch.setenv("SHOP_DATABASE_URL", f"sqlite:///{tmp_path}/shop.db")
    monkeypatch.setenv("SHOP_REPORTS", str(tmp_path))
    database.engine.cache_clear()
    database.Base.metadata.create_all(database.engine())
    yield
    database.engine().dispose()


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> ServiceInMemory:
    """Takes what is enqueued; SQLite has no `taskmill.create_task`."""
    made = ServiceInMemory(app)
    monkeypatch.setattr(orders, "enqueue", made.enqueue)
    return made


def sell(*sales: tuple[str, int, int]) -> None:
    with database.transaction() as session:
        session.add_all(
            Order(day=MONDAY, customer="ann@example.com", item=item, quantity=quantity, cents=cents)
            for item, quantity, cents in sales
        )


def test_an_order_is_confirmed(service: ServiceInMemory) -> None:
    with database.transaction() as session:
        orders.stock_up(session, "bread", 12)
        order = orders.place(
            session, day=MONDAY, customer="ann@example.com", item="bread", quantity=2, cents=900
        )
    [task] = service.tasks
    assert (task.type, task.payload) == ("confirm-order", {"order": order})
    [task] = service.run_all()
    assert task.result == "ann@example.com"
    with database.transaction() as session:
        assert session.get_one(Order, order).confirmed_at is not None


def test_a_second_attempt_mails_nobody_again() -> None:
    sell(("bread", 2, 900))
    assert [line.message for line in attempt(confirm_order, order=1).lines] == ["mail"]
    assert attempt(confirm_order, order=1, number=2).lines == []


def test_an_unknown_order_fails_for_good() -> None:
    ended = attempt(confirm_order, order=1)
    assert ended.error is not None
    assert (ended.error.type, ended.retry_after) == ("PermanentFailure", None)


def test_the_report_has_the_days_sums_and_can_be_written_again(tmp_path: Path) -> None:
    sell(("bread", 2, 900), ("<cake>", 1, 1500), ("bread", 1, 450))
    for number in (1, 2):
        ended = attempt(nightly_report, day="2026-11-23", number=number)
        assert ended.result == [f"{tmp_path}/2026-11-23.csv", f"{tmp_path}/2026-11-23.html"]
        assert ended.progress == [(0.5, "2 items were sold")]
        table, page = (Path(path).read_text() for path in ended.result)
        assert table == "item,quantity,cents\n<cake>,1,1500\nbread,3,1350\n"
        assert "<td>&lt;cake&gt;</td><td>1</td><td>15.00</td>" in page
        assert "Total: 28.50" in page


def test_the_report_waits_until_its_day_is_over() -> None:
    ended = attempt(nightly_report, day=datetime.now(UTC).date().isoformat())
    assert ended.retry_after is not None
    assert timedelta(0) < ended.retry_after <= timedelta(days=1)


def test_while_the_database_is_away_the_report_is_retried(tmp_path: Path) -> None:
    database.engine().dispose()
    (tmp_path / "shop.db").unlink()
    (tmp_path / "shop.db").mkdir()  # SQLite can't open that
    ended = attempt(nightly_report, day="2026-11-23")
    assert ended.error is not None
    assert ended.error.type == "RetryLater"
    assert "the database is not available" in ended.error.message
