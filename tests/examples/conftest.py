"""One service for the tests of all examples; each starts the workers and programs of its own."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pytest

from taskmill import Client
from tests.support.examples import CALLS_KEY, EVENTS_KEY
from tests.support.postgres import DatabaseServer
from tests.support.processes import FAST_LEASES, Program

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        **FAST_LEASES,
        "TASKMILL_BROKER": "postgres",
        "TASKMILL_OUTBOUND__ALLOW": "127.0.0.1",
        "TASKMILL_OUTBOUND__PUSH_SIGNING_KEYS": CALLS_KEY,
        "TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS": EVENTS_KEY,
    }
)


@pytest.fixture(scope="session")
def service_env(database_server: DatabaseServer, database_template: str) -> dict[str, str]:
    """The settings of the service's processes."""
    return {
        **SETTINGS,
        "TASKMILL_DATABASE_URL": database_server.create(template=database_template),
    }


@pytest.fixture(scope="session")
def service(
    service_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """Everything but workers."""
    folder = tmp_path_factory.mktemp("service")
    roles = ("api", "maintenance", "webhooks")
    with Program("run", *roles, "--port", "0", folder=folder, env=service_env) as program:
        yield program


@pytest.fixture
def taskmill(service: Program) -> Iterator[Client]:
    """A client of the service."""
    with Client(service.facts["url"]) as client:
        yield client
