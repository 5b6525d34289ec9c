"""An API with maintenance for the workers of a test file, and a type of tasks for each test."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from taskmill.settings import DatabaseSettings
from tests.support.polling import wait_until
from tests.support.postgres import DatabaseServer
from tests.support.processes import FAST_LEASES, Program
from tests.support.role_database import RoleDatabase
from tests.support.verifying import found_in

RETRY_AT_ONCE = {"base_s": 0, "jitter": 0}


@dataclass(frozen=True)
class Service:
    """A running API with maintenance, and its database."""

    http: httpx.Client
    database_url: str

    def create(self, task_type: str, what: str, **fields: Any) -> str:  # noqa: ANN401 - the fields of a task
        body = {"name": what, "type": task_type, "payload": {"do": what}, "retry": RETRY_AT_ONCE}
        response = self.http.post("/tasks", json={**body, **fields})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    def get(self, task_id: str) -> dict[str, Any]:
        task: dict[str, Any] = self.http.get(f"/tasks/{task_id}").json()
        return task

    def become(self, task_id: str, status: str, *, claim_no: int | None = None) -> dict[str, Any]:
        """Wait until the task has the status, under this claim if one is named."""

        def is_so() -> bool:
            at = self.events(task_id)[-1]
            return at["status"] == status and claim_no in {None, at["claim_no"]}

        wait_until(is_so, f"task {task_id} to be {status}", timeout_s=30)
        return self.get(task_id)

    def events(self, task_id: str) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.http.get(f"/tasks/{task_id}/events").json()["items"]
        return events

    def history(self, task_id: str) -> list[tuple[str, str | None]]:
        return [(e["event"], e["worker"]) for e in self.events(task_id)]


@pytest.fixture(scope="module")
def service(
    database_server: DatabaseServer,
    database_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Service]:
    """One service for all tests of a file, each of which has its own type; its database is verified at the end."""
    url = database_server.create(template=database_template)
    folder = tmp_path_factory.mktemp("service")
    env = {**FAST_LEASES, "TASKMILL_DATABASE_URL": url}
    program = Program("run", "api", "maintenance", "--port", "0", folder=folder, env=env)
    with program, program.client() as http:
        yield Service(http, url)
    database_server.run(_is_sound(url))
    database_server.drop(url)


async def _is_sound(url: str) -> None:
    database = RoleDatabase(url, DatabaseSettings())
    try:
        assert await found_in(database) == {}
    finally:
        await database.close()


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """A type of tasks for this test alone."""
    name: str = request.node.name
    words = name.removeprefix("test_").replace("[", "-").rstrip("]")
    return words.replace("_", "-")[-60:].lstrip("-")
