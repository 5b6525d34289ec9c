"""The databases of which those of tests are copies; nobody connects to them."""

from concurrent.futures import ThreadPoolExecutor

from taskmill.runtime.clock import SystemClock
from taskmill.settings import DatabaseSettings
from taskmill.storage import audit_months, name_index, partitions, roles
from taskmill.storage.database import Database
from taskmill.storage.migrate import upgrade
from tests.support.postgres import STAGE_TEMPLATE, TEMPLATE, DatabaseServer
from tests.support.roles import PASSWORDS


def make_template(server: DatabaseServer) -> None:
    """Make a migrated database with Taskmill's roles."""
    url = server.create()
    with ThreadPoolExecutor(1) as thread:  # it runs a loop of its own
        thread.submit(upgrade, url).result()
    server.run(roles.apply(url, PASSWORDS))
    server.run(name_index.apply(url, is_wanted=True))
    server.rename(url, TEMPLATE)


def make_stage_template(server: DatabaseServer) -> None:
    """Make a migrated database with current partitions."""
    url = server.create(template=TEMPLATE)
    server.run(_make_partitions(url))
    server.rename(url, STAGE_TEMPLATE)


async def _make_partitions(url: str) -> None:
    """Make the partitions that a process makes before it serves."""
    database, clock = Database(url, DatabaseSettings()), SystemClock()
    moment = await database.anchor(clock)
    await partitions.ensure(database, moment)
    await audit_months.ensure(database, moment)
    await database.close()
