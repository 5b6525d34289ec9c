"""Fixtures for all tests: a real PostgreSQL and a real RabbitMQ, and a part of its own for each test."""

import gc
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from taskmill.observability.kinds import KINDS, QUEUES
from tests.proofs import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_report_header,
)
from tests.support.postgres import TEMPLATE, DatabaseServer, chosen_bin_dir, data_parent
from tests.support.rabbitmq import BrokerServer, Management, VirtualHosts
from tests.support.shared_servers import shared_broker, shared_postgres

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_report_header",
]

# Collecting tests makes no garbage: looking for it took a fifth of that time (2026-11-30).
gc.disable()

# Machines are shared, and how fast they are is not what these tests are about. `scripts/test --all` tries more.
for profile, examples in (("few", 40), ("many", 1_000)):
    settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
settings.load_profile("few")

# Under nohup, or in a shell's background job, these begin as ignored, and so they would in every program that
# the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Before anything reads the settings: this takes the tests' own name out of the environment.
chosen_bin_dir()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """Have the collector leave alone what all tests share: else it walks through thousands of tests every time."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_teardown() -> None:
    """Undo what a test leaves in its process."""
    # A command pauses the collector while it starts, and then perhaps did not start.
    gc.enable()
    # Else all tests of a process have 200 queues and types together, and those of later ones count as others.
    KINDS.clear()
    QUEUES.clear()


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """One server for each test process, unless several share one."""
    if (shared := shared_postgres()) is not None:
        with DatabaseServer(shared) as server:
            yield server
        return
    with (
        tempfile.TemporaryDirectory(prefix="taskmill-tests-", dir=data_parent()) as folder,
        DatabaseServer(Path(folder)) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def database_template(database_server: DatabaseServer) -> str:
    """The name of a migrated database with Taskmill's roles that nobody connects to."""
    from tests.support.templates import make_template  # noqa: PLC0415 - tests without storage run alone

    if shared_postgres() is None:
        make_template(database_server)
    return TEMPLATE


@pytest.fixture
def database_url(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    """The address of a migrated, empty database for this test alone."""
    url = database_server.create(template=database_template)
    yield url
    database_server.drop(url)


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """The address of a database without any schema for this test alone."""
    url = database_server.create()
    yield url
    database_server.drop(url)


@pytest.fixture(scope="session")
def broker_server() -> Iterator[VirtualHosts]:
    """One RabbitMQ node for each test process, unless several share one."""
    if (shared := shared_broker()) is not None:
        with VirtualHosts(shared) as hosts:
            yield hosts
        return
    with (
        tempfile.TemporaryDirectory(prefix="taskmill-broker-") as folder,
        BrokerServer(Path(folder)) as server,
    ):
        yield server


@pytest.fixture
def broker_url(broker_server: VirtualHosts) -> Iterator[str]:
    """The address of an empty virtual host for this test alone."""
    url = broker_server.create()
    yield url
    broker_server.drop(url)


@pytest.fixture
def broker_management(broker_server: VirtualHosts, broker_url: str) -> Management:
    """The management calls about this test's virtual host."""
    return broker_server.management(broker_url)


@pytest.fixture
def private_broker() -> Iterator[BrokerServer]:
    """A node for this test alone, which may kill, freeze and wipe it; it costs some seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="taskmill-broker-") as folder,
        BrokerServer(Path(folder)) as server,
    ):
        yield server
