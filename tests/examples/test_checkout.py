"""The example with a checkout: orders are completed by signed calls, whichever process dies in between."""

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from taskmill import Client
from taskmill.client.views.tasks import TaskView
from tests.support.examples import CALLS_KEY, EVENTS_KEY, Worker, where
from tests.support.polling import wait_until
from tests.support.processes import Program


class Shop:
    """The example's server on a port of its own, which may be killed and started again."""

    def __init__(self, folder: Path, taskmill_url: str) -> None:
        self.folder = folder
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port: int = sock.getsockname()[1]
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}")
        self._env = {
            **os.environ,  # noqa: TID251 - the child's, plus ours
            **where("checkout"),
            "CHECKOUT_FOLDER": str(folder),
            "CHECKOUT_URL": str(self.http.base_url),
            "TASKMILL_URL": taskmill_url,
            "CALLS_KEY": CALLS_KEY,
            "EVENTS_KEY": EVENTS_KEY,
        }
        self.start()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "uvicorn", "checkout.app:app", "--port", str(self.port)],
                env=self._env,
                stdout=log,
                stderr=log,
            )
        wait_until(self._serves, f"{self.folder}/log shows that it serves", timeout_s=30)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def place(self, order_id: str, card: str) -> httpx.Response:
        order = {"item": "bread", "cents": 900, "card": card}
        return self.http.put(f"/orders/{order_id}", json=order)

    def order(self, order_id: str) -> dict[str, Any]:
        order: dict[str, Any] = self.http.get(f"/orders/{order_id}").json()
        return order

    def wait_for(self, order_id: str, state: str) -> None:
        wait_until(lambda: self.order(order_id)["state"] == state, f"{order_id} to be {state}")

    def rows(self, file: str, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / file)) as database:
            return database.execute(query).fetchall()

    @contextmanager
    def bank_that_hangs(self) -> Iterator[None]:
        with closing(sqlite3.connect(self.folder / "bank.db")) as books:
            books.execute("BEGIN EXCLUSIVE")
            yield

    def called_for(self, order_id: str, taskmill: Client) -> TaskView:
        """The task that is to charge an order, once the shop has its call in hand."""
        [task] = taskmill.list(queue="checkout", label=f"order={order_id}")
        query = f"SELECT result FROM call WHERE id = '{task.id}-1'"  # noqa: S608 - our own
        wait_until(lambda: self.rows("shop.db", query) == [(None,)], "the call")
        return task

    def calls_of_the_bank(self, *order_ids: str) -> list[int]:
        calls = dict(self.rows("bank.db", "SELECT key, calls FROM charge"))
        return [calls.get(f"order-{order_id}", 0) for order_id in order_ids]

    def _serves(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            return self.http.get("/openapi.json").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def shop(service: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    shop = Shop(tmp_path_factory.mktemp("checkout"), service.facts["url"])
    yield shop
    shop.kill()
    shop.http.close()


@pytest.fixture(scope="module")
def worker(service_env: dict[str, str], shop: Shop) -> Iterator[Worker]:
    with Worker(folder=shop.folder / "worker", env=service_env) as worker:
        yield worker


@pytest.mark.usefixtures("worker")
def test_orders_go_their_way(shop: Shop, taskmill: Client) -> None:
    for order_id, card in (("plain", "visa"), ("later", "busy"), ("never", "declined")):
        assert shop.place(order_id, card).status_code == 202
        assert shop.place(order_id, card).status_code == 202, "who asks again has ordered once"
    assert shop.place("plain", "declined").status_code == 409
    shop.wait_for("plain", "done")
    shop.wait_for("never", "unpaid")
    shop.wait_for("later", "done")
    assert "402" in shop.order("never")["reason"]
    ours = {"plain", "later", "never"}
    tasks = [one for one in taskmill.list(queue="checkout") if one.labels["order"] in ours]
    assert {one.name: (one.status, one.attempt) for one in tasks} == {
        "charge plain": ("succeeded", 1),
        "receipt plain": ("succeeded", 1),
        "charge later": ("succeeded", 2),
        "receipt later": ("succeeded", 1),
        "charge never": ("failed", 1),
    }
    assert shop.calls_of_the_bank("plain", "later", "never") == [1, 2, 0]
    receipts = {order_id for order_id, _ in shop.rows("shop.db", "SELECT * FROM receipt")}
    assert receipts & ours == {"plain", "later"}


def test_calls_without_the_key_are_refused(shop: Shop) -> None:
    forged = {
        "webhook-id": "evt_1_1",
        "webhook-timestamp": "1767225600",
        "webhook-signature": "v1,AAAA",
        "taskmill-claim-no": "1",
    }
    for path in ("/work/charge", "/work/receipt", "/events"):
        assert shop.http.post(path, json={"order": "x"}).status_code == 401
        assert shop.http.post(path, json={"order": "x"}, headers=forged).status_code == 401


@pytest.mark.usefixtures("worker")
def test_a_push_of_an_event_is_refused(shop: Shop, taskmill: Client) -> None:
    assert shop.place("unpaid-bread", "declined").status_code == 202
    shop.wait_for("unpaid-bread", "unpaid")
    event = {
        "data": {"labels": {"order": "unpaid-bread", "step": "receipt"}, "status": "succeeded"}
    }
    payload = {"url": f"{shop.http.base_url}/events", "body": event}
    forged = taskmill.create("forged", type="http", payload=payload)
    ended = taskmill.wait(forged.id, timeout_s=30)
    assert (ended.status, "answered 401" in str(ended.error)) == ("failed", True)
    assert shop.order("unpaid-bread")["state"] == "unpaid"


def test_a_card_is_charged_once_though_the_worker_dies_before_the_response(
    shop: Shop, worker: Worker, taskmill: Client
) -> None:
    with shop.bank_that_hangs():
        assert shop.place("lost-response", "visa").status_code == 202
        charge = shop.called_for("lost-response", taskmill)
        worker.kill()
    worker.start()
    shop.wait_for("lost-response", "done")
    assert shop.calls_of_the_bank("lost-response") == [1]
    ended = taskmill.get(charge.id)
    assert (ended.attempt, ended.losses) == (1, 1)
    numbers = f"SELECT claim_no FROM call WHERE id = '{charge.id}-1'"  # noqa: S608 - our own
    assert shop.rows("shop.db", numbers) == [(2,)]


@pytest.mark.usefixtures("worker")
def test_a_shop_that_dies_in_a_call_is_called_again(shop: Shop, taskmill: Client) -> None:
    with shop.bank_that_hangs():
        assert shop.place("cut-off", "visa").status_code == 202
        charge = shop.called_for("cut-off", taskmill)
        shop.kill()
    shop.start()
    shop.wait_for("cut-off", "done")
    assert shop.calls_of_the_bank("cut-off") == [1]
    assert taskmill.get(charge.id).attempt >= 2, "one was cut off"
