"""The example with a shop: orders and their tasks are one commit, and a report outlives what it meets."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import psycopg
import pytest

from taskmill import Client
from tests.support.examples import python, where
from tests.support.polling import wait_until
from tests.support.processes import Program


@pytest.fixture
def env(service: Program, service_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return {
        **service_env,
        **where("nightly-report"),
        "SHOP_DATABASE_URL": service_env["TASKMILL_DATABASE_URL"],
        "SHOP_REPORTS": str(tmp_path / "reports"),
        "TASKMILL_URL": service.facts["url"],
    }


@contextmanager
def a_worker(env: dict[str, str], folder: Path) -> Iterator[Program]:
    arguments = ("run", "worker", "--app", "shop.tasks:app")
    with Program(*arguments, folder=folder, env=env) as worker:
        yield worker


def shop(env: dict[str, str], *arguments: str) -> CompletedProcess[str]:
    return python("nightly-report", "-m", "shop", *arguments, env=env)


def test_the_tests_of_the_example_pass() -> None:
    done = python("nightly-report", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py")
    assert "6 passed" in done.stdout, done.stdout + done.stderr


def test_an_order_is_confirmed_if_it_was_committed(
    env: dict[str, str], taskmill: Client, tmp_path: Path
) -> None:
    shop(env, "init")
    placed = shop(env, "order", "ann@example.com", "bread", "2", "900")
    refused = shop(env, "order", "ann@example.com", "bread", "11", "4950")
    assert placed.returncode == 0, placed.stderr
    assert (refused.returncode, refused.stderr) == (1, "there are no 11 of bread\n")
    with a_worker(env, tmp_path):
        task = next(taskmill.list(type="confirm-order"))
        assert task.payload == {"order": int(placed.stdout.removeprefix("order "))}
        assert taskmill.wait(task.id, timeout_s=15).result == "ann@example.com"


def test_the_report_outlives_a_locked_table_and_a_killed_worker(
    env: dict[str, str], taskmill: Client, tmp_path: Path
) -> None:
    shop(env, "init")
    shop(env, "order", "bob@example.com", "bread", "3", "1350", "--day", "2026-01-31")
    with psycopg.connect(env["SHOP_DATABASE_URL"]) as busy:
        busy.execute("LOCK TABLE shop_order IN ACCESS EXCLUSIVE MODE")
        task = taskmill.create(
            "report",
            type="nightly-report",
            payload={"day": "2026-01-31"},
            max_attempts=8,
            retry={"base_s": 0.1},
        )
        with a_worker(env, tmp_path) as worker:
            wait_until(lambda: taskmill.get(task.id).attempt == 2, "a second attempt")
            waiting = taskmill.get(task.id)
            assert waiting.error is not None
            assert waiting.error.type == "RetryLater"
            assert "lock timeout" in waiting.error.message
            worker.process.kill()
            worker.process.wait()
    with a_worker(env, tmp_path):
        ended = taskmill.wait(task.id, timeout_s=15)
    assert (ended.status, ended.losses) == ("succeeded", 1)
    table, page = map(Path, ended.result)
    assert table.read_text() == "item,quantity,cents\nbread,3,1350\n"
    assert "Total: 13.50" in page.read_text()
    assert sorted(table.parent.iterdir()) == [table, page], "nothing half-written is left"


def test_a_days_report_is_asked_for_once(env: dict[str, str], taskmill: Client) -> None:
    told = [shop(env, "report", "2026-02-01").stdout.split() for _ in range(2)]
    assert [status for _, status in told] == ["new", "new"]
    assert told[0] == told[1]
    assert taskmill.get(told[0][0]).payload == {"day": "2026-02-01"}
