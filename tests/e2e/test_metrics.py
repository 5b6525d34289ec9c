"""The metrics of the roles of a running system, after some tasks."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from taskmill.version import VERSION
from tests.support.exposition import Page
from tests.support.polling import wait_until
from tests.support.processes import FAST_LEASES, Program

QUICK = {
    "TASKMILL_EMULATION__DELAY_MIN_S": "0",
    "TASKMILL_EMULATION__DELAY_MAX_S": "0.01",
    "TASKMILL_EMULATION__FAILURE_PROBABILITY": "0",
    "TASKMILL_RETRY__BASE_S": "0",
    "TASKMILL_ADMIN_PORT": "0",
    **FAST_LEASES,
}
WELL, FAILING, CANCELLED = 60, 7, 3
ROLES = ("api", "worker", "maintenance", "relay", "intake", "webhooks")
FAILS = {"failure_probability": 1}
# Ports of the processes of `up`, from its own admin port; 1 is for webhooks, relay and intake.
OFFSETS = (0, 2, 3)


class System:
    """The roles of one system, each in a process of its own."""

    def __init__(self, programs: dict[str, Program]) -> None:
        self.programs = programs

    def page(self, role: str) -> Page:
        """Scrape a role's admin port."""
        [line] = self.programs[role].logged("admin.started")
        response = httpx.get(f"{line['url']}/metrics", timeout=10)
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return Page(response.text)


@pytest.fixture
def system(database_url: str, broker_url: str, tmp_path: Path) -> Iterator[System]:
    settings = {
        "TASKMILL_DATABASE_URL": database_url,
        "TASKMILL_BROKER_URL": broker_url,
        **QUICK,
    }
    with ExitStack() as stack:
        programs = {}
        for role in ROLES:
            port = ("--port", "0") if role == "api" else ()
            program = Program("run", role, *port, folder=tmp_path / role, env=settings)
            programs[role] = stack.enter_context(program)
        yield System(programs)


def run_tasks(client: httpx.Client) -> None:
    """Run tasks that succeed, fail after a retry, and are cancelled while they wait."""
    tasks = [{"name": "well", "queue": "reports"} for _ in range(WELL)]
    assert client.post("/tasks/batch", json=tasks).status_code == 201
    for _ in range(FAILING):
        failing = {"name": "no", "max_attempts": 2, "payload": FAILS}
        assert client.post("/tasks", json=failing).status_code == 201
    for _ in range(CANCELLED):
        task = client.post("/tasks", json={"name": "later", "delay_s": 3600}).json()
        assert client.post(f"/tasks/{task['id']}/cancel").status_code == 200
    wait_until(lambda: _open_tasks(client) == 0, "all tasks have ended", timeout_s=60)


def _open_tasks(client: httpx.Client) -> int:
    counts = client.get("/stats").json()["by_status"]
    return int(counts["new"] + counts["in_progress"])


def test_every_role_serves_a_valid_page_and_the_numbers_agree(system: System) -> None:
    with system.programs["api"].client() as client:
        run_tasks(client)
        own = Page(client.get("/metrics").text)
    wait_until(
        lambda: system.page("worker").sum("taskmill_tasks_finished_total") == WELL + FAILING,
        "the worker has counted its last finish",
    )
    pages = {role: system.page(role) for role in ROLES}
    assert {role: page.faults() for role, page in pages.items() if page.faults()} == {}
    assert own.faults() == []
    for page in (own, pages["api"]):
        created = "taskmill_tasks_created_total"
        assert page.value(created, queue="reports", type="emulate") == WELL
        assert page.value(created, queue="default", type="emulate") == FAILING + CANCELLED
        assert page.value("taskmill_cancels_total", outcome="done") == CANCELLED
    worker = pages["worker"]
    reports, default = ({"queue": q, "type": "emulate"} for q in ("reports", "default"))
    finished = "taskmill_tasks_finished_total"
    assert worker.value(finished, **reports, status="succeeded") == WELL
    assert worker.value(finished, **default, status="failed") == FAILING
    assert worker.value("taskmill_retries_scheduled_total", **default) == FAILING
    for labels, claims in ((reports, WELL), (default, 2 * FAILING)):
        assert worker.value("taskmill_tasks_claimed_total", **labels) == claims
        assert worker.value("taskmill_task_wait_seconds_count", **labels) == claims
        assert worker.value("taskmill_task_run_seconds_count", **labels) == claims
    assert worker.value("taskmill_batch_items_sum", batch="claim") == WELL + 2 * FAILING
    assert worker.value("taskmill_batch_items_sum", batch="finish") == WELL + 2 * FAILING
    assert worker.value("taskmill_leases_opened_total") == 1
    assert (worker.value("taskmill_worker_slots"), worker.value("taskmill_worker_running")) == (
        1000,
        0,
    )
    assert worker.value("taskmill_build_info", roles="worker", version=VERSION) == 1
    assert pages["relay"].value("taskmill_broker_up", link="relay") == 1
    assert pages["intake"].value("taskmill_database_pool_connections_max", pool="hot") == 8


def test_api_and_maintenance_report_the_same_of_the_whole_system(system: System) -> None:
    with system.programs["api"].client() as client:
        run_tasks(client)

        def scraped() -> list[Page]:
            return [Page(client.get("/metrics").text), system.page("maintenance")]

        name = "taskmill_queue_tasks"
        # What was read a few seconds ago may be served once more.
        wait_until(
            lambda: all(
                p.value(name, queue="reports", status="succeeded") == WELL for p in scraped()
            ),
            "both have read PostgreSQL again",
        )
        for page in scraped():
            assert page.value("taskmill_system_up") == 1
            assert page.value(name, queue="default", status="failed") == FAILING
            assert page.value(name, queue="default", status="cancelled") == CANCELLED
            assert page.value(name, queue="default", status="new") == 0
            assert page.value("taskmill_queue_workers", queue="reports") == 1
            assert page.value("taskmill_queue_unserved_types", queue="reports") == 0
            assert page.value("taskmill_workers_alive") == 1
            assert page.value("taskmill_partitions_ahead") == 4
    for role in ("worker", "relay", "intake", "webhooks"):
        assert system.page(role).value("taskmill_system_up") is None


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row."""
    for _ in range(50):
        with ExitStack() as stack:
            first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port: int = first.getsockname()[1]
            try:
                for offset in range(1, count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port + offset)))
            except (OSError, OverflowError):
                continue
            return port
    raise AssertionError("no free ports in a row")


def test_each_process_of_up_has_an_admin_port_of_its_own(database_url: str, tmp_path: Path) -> None:
    port = free_ports(max(OFFSETS) + 1)
    options = ("--port", "0", "--workers", "2", "--broker", "postgres", "--data", tmp_path)
    settings = {**QUICK, "TASKMILL_DATABASE_URL": database_url, "TASKMILL_ADMIN_PORT": str(port)}
    with Program("up", *options, folder=tmp_path, env=settings) as up, up.client() as client:
        run_tasks(client)

        def pages() -> dict[int, Page]:
            found = {}
            for offset in OFFSETS:
                with suppress(httpx.TransportError):
                    response = httpx.get(f"http://127.0.0.1:{port + offset}/metrics", timeout=10)
                    found[offset] = Page(response.text)
            return found

        def are_complete() -> bool:
            found = pages().values()
            finished = sum(page.sum("taskmill_tasks_finished_total") for page in found)
            return len(found) == len(OFFSETS) and finished == WELL + FAILING

        wait_until(are_complete, "all three report their tasks")
        roles = {
            offset: {name for name in ("worker", "api,maintenance") if has_roles(page, name)}
            for offset, page in pages().items()
        }
    assert roles == {0: {"api,maintenance"}, 2: {"worker"}, 3: {"worker"}}


def has_roles(page: Page, roles: str) -> bool:
    return page.sum("taskmill_build_info", roles=roles) == 1
