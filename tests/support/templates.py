"""The databases of which those of tests are copies; nobody connects to them."""

from concurrent.futures import ThreadPoolExecutor

from taskmill.runtime.clock import SystemClock
from taskmill.settings import DatabaseSettings
from taskmill.storage import audit_months, name_index, partitions
from tests.support.migrating import migrate_with_roles
from tests.support.postgres import STAGE_TEMPLATE, TEMPLATE, DatabaseServer
from tests.support.role_database import RoleDatabase


def make_template(server: DatabaseServer) -> None:
    """Make a migrated database with Taskmill's roles."""
    url = server.create()
    with ThreadPoolExecutor(1) as thread:  # it runs loops of its own
        thread.submit(migrate_with_roles, url).result()
    server.run(name_index.apply(url, is_wanted=True))
    server.rename(url, TEMPLATE)


def make_stage_template(server: DatabaseServer) -> None:
    """Make a migrated database with current partitions."""
    url = server.create(template=TEMPLATE)
    server.run(_make_partitions(url))
    server.rename(url, STAGE_TEMPLATE)


async def _make_partitions(url: str) -> None:
    """Make the partitions that a process makes before it serves."""
    database, clock = RoleDatabase(url, DatabaseSettings()), SystemClock()
    moment = await database.anchor(clock)
    await partitions.ensure(database, moment)
    await audit_months.ensure(database, moment)
    await database.close()
