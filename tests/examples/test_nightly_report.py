"""The example with a shop: orders and their tasks are one commit, and a report outlives what it meets."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import psycopg
import pytest

from taskmill import Client
from tests.support.examples import Worker, python, where
from tests.support.polling import wait_until
from tests.support.processes import Program


@pytest.fixture(scope="module")
def env(
    service: Program, service_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Environment of the shop's programs; its tables exist."""
    env = {
        **service_env,
        **where("nightly-report"),
        "SHOP_DATABASE_URL": service_env["TASKMILL_DATABASE_URL"],
        "SHOP_REPORTS": str(tmp_path_factory.mktemp("reports")),
        "TASKMILL_URL": service.facts["url"],
    }
    assert shop(env, "init").returncode == 0
    return env


@pytest.fixture(scope="module")
def worker(env: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("shop")
    with Worker("--app", "shop.tasks:app", folder=folder, env=env) as worker:
        yield worker


def shop(env: dict[str, str], *arguments: str) -> CompletedProcess[str]:
    return python("nightly-report", "-m", "shop", *arguments, env=env)


def test_the_tests_of_the_example_pass() -> None:
    arguments = ("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "test_shop.py")
    # Without the plugins of these tests, which take longer to load than its own take to run.
    done = python("nightly-report", *arguments, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    assert "6 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.usefixtures("worker")
def test_an_order_is_confirmed_if_it_was_committed(env: dict[str, str], taskmill: Client) -> None:
    placed = shop(env, "order", "ann@example.com", "bread", "2", "900")
    refused = shop(env, "order", "ann@example.com", "bread", "11", "4950")
    assert placed.returncode == 0, placed.stderr
    assert (refused.returncode, refused.stderr) == (1, "there are no 11 of bread\n")
    task = next(taskmill.list(type="confirm-order"))
    assert task.payload == {"order": int(placed.stdout.removeprefix("order "))}
    assert taskmill.wait(task.id, timeout_s=15).result == "ann@example.com"


def test_the_report_outlives_a_locked_table_and_a_killed_worker(
    env: dict[str, str], worker: Worker, taskmill: Client
) -> None:
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
        wait_until(lambda: taskmill.get(task.id).attempt == 2, "a second attempt")
        worker.kill()
        waiting = taskmill.get(task.id)
    assert waiting.error is not None
    assert waiting.error.type == "RetryLater"
    assert waiting.error.message.endswith("canceling statement due to lock timeout")
    worker.start()
    ended = taskmill.wait(task.id, timeout_s=15)
    assert (ended.status, ended.losses) == ("succeeded", 1)
    table, page = map(Path, ended.result)
    assert table.read_text() == "item,quantity,cents\nbread,3,1350\n"
    assert "Total: 13.50" in page.read_text()
    assert not list(table.parent.glob(".*")), "nothing half-written is left"


def test_a_days_report_is_created_once(env: dict[str, str], taskmill: Client) -> None:
    first, second = (shop(env, "report", "2026-02-01").stdout.split()[0] for _ in range(2))
    assert first == second
    assert taskmill.get(first).payload == {"day": "2026-02-01"}
