"""A search costs what it finds, however many tasks there are: the plans of its statements, among 20,000 tasks."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import orjson
import pytest

from benchmarks.searchable_tasks import GROUP, store_searchable_tasks
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.runtime.clock import SystemClock
from taskmill.storage import listing
from taskmill.storage.listing_pool import driver_of
from taskmill.storage.scan import Scan
from tests.support.plans import Plan
from tests.support.polling import eventually
from tests.support.postgres import DatabaseServer
from tests.support.stage import Stage, a_stage

TASKS = 20_000
LIMIT = 50
UNTIL = SystemClock().now()
FAILED = frozenset({Status.FAILED})
WAITING = frozenset({Status.NEW})
# A search scans so many tasks at first.
CHUNK = 1_000
_EXPLAINING = """
    LOAD 'auto_explain';
    SET auto_explain.log_min_duration = 0;
    SET auto_explain.log_analyze = on;
    SET auto_explain.log_buffers = on;
    SET auto_explain.log_timing = off;
    SET auto_explain.log_format = json;
    SET client_min_messages = log;
"""


@pytest.fixture(scope="module")
def searchable_url(database_server: DatabaseServer, database_template: str) -> Iterator[str]:
    url = database_server.create(template=database_template)
    database_server.run(store_searchable_tasks(url, TASKS, UNTIL))
    yield url
    database_server.drop(url)


@pytest.fixture
async def searchable(searchable_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    # No look-up is given up where the machine is slow.
    monkeypatch.setattr("taskmill.storage.search._TIMEOUT_MS", 60_000)
    async with a_stage(searchable_url) as stage:
        yield stage


async def explained(stage: Stage, wanted: TaskFilter) -> tuple[int, list[Plan]]:
    """Return how many ids a page with this filter has, and the plans by which they and their number were found."""
    notices: list[str] = []
    scan = Scan(wanted=wanted, request=PageRequest(limit=LIMIT))
    async with stage.owner_database.listing() as connection:
        driver = await driver_of(connection)
        await driver.execute(_EXPLAINING)
        driver.add_log_listener(lambda _, message: notices.append(message.message))
        found = await listing._find_ids(connection, scan)
        if found.total is None:
            await listing._count(connection, scan)
        # A plan is reported when its portal is closed, which is when the next statement comes.
        await driver.execute("SELECT 'done'")

        async def probe() -> bool:
            return any("SELECT 'done'" in notice for notice in notices)

        await eventually(probe, "the plans")  # the driver delivers notices a little later
        await connection.invalidate()
    plans = (orjson.loads(n.split("plan:", 1)[1]) for n in notices if "plan:" in n)
    return len(found.ids), [Plan(plan["Plan"]) for plan in plans]


def at_some_time(tasks: int) -> TaskFilter:
    """Return the filter of a time in the middle in which so many tasks were created."""
    middle, span = UNTIL - timedelta(weeks=4), timedelta(weeks=8) * tasks / TASKS
    return TaskFilter(created_after=middle - span / 2, created_before=middle + span / 2)


@pytest.mark.parametrize(
    ("wanted", "hits", "rows"),
    [
        (TaskFilter(labels=(("customer", "c17"),)), GROUP, CHUNK + GROUP),
        (TaskFilter(labels=(("customer", "c17"), ("region", "r7"))), GROUP, CHUNK + GROUP),
        (TaskFilter(labels=(("customer", "nobody"),)), 0, CHUNK),
        (TaskFilter(labels=(("customer", "c7"),), statuses=WAITING), GROUP, CHUNK + GROUP),
        (TaskFilter(name="клиента № 000017"), GROUP, CHUNK + 10 * GROUP),
        (TaskFilter(name="клиента № 000007", statuses=WAITING), GROUP, CHUNK + 10 * GROUP),
        (TaskFilter(type="type-7", statuses=WAITING), GROUP, 2 * GROUP),
        # A quarter of the tasks of that time failed, between the others: PostgreSQL may read them all.
        (TaskFilter(name="CUSTOMER C000018", statuses=FAILED), 0, 3 * CHUNK),
        (TaskFilter(name="нигде такого нет"), 0, CHUNK),
        (TaskFilter(type="rare"), GROUP, 2 * GROUP),
        (TaskFilter(type="type-3", statuses=FAILED), GROUP, 2 * GROUP),
        (TaskFilter(type="rare", statuses=FAILED), 0, 0),
        (TaskFilter(type="type-7"), LIMIT, 1_200),
        (TaskFilter(error="Failure: no j"), GROUP, 2 * GROUP),
        (TaskFilter(error="Failure: no j", type="type-3", statuses=FAILED), GROUP, 2 * GROUP),
        (TaskFilter(error="Failure: none"), 0, 0),
        (TaskFilter(visible=frozenset({"queue-1"})), LIMIT, 1_300),
        (TaskFilter(visible=frozenset({f"queue-{n}" for n in range(5)})), LIMIT, 1_700),
        (TaskFilter(visible=frozenset({"queue-1"}), type="rare"), 0, CHUNK + 10 * GROUP),
        (TaskFilter(visible=frozenset({"no-such"}), type="type-7"), 0, 0),
        (at_some_time(100), LIMIT, 200),
        (at_some_time(10_000), LIMIT, 12_000),
    ],
)
async def test_a_search_reads_what_it_finds_and_a_thousand_tasks_at_most(
    searchable: Stage, wanted: TaskFilter, hits: int, rows: int
) -> None:
    found, plans = await explained(searchable, wanted)
    assert found == hits
    # The end of a chunk is looked for first, in the index alone.
    assert sum(plan.rows_read for plan in plans) <= 2 * rows + 200


@pytest.mark.parametrize("statuses", [FAILED, FAILED | {Status.NEW}])
async def test_a_rare_pair_of_a_frequent_queue_and_a_frequent_type_is_found_by_its_index(
    searchable: Stage, monkeypatch: pytest.MonkeyPatch, statuses: frozenset[Status]
) -> None:
    monkeypatch.setattr("taskmill.storage.listing._FIRST_CHUNK", 10)
    monkeypatch.setattr("taskmill.storage.listing._FEWEST_LOOKED_UP_IN", 1)
    wanted = TaskFilter(queue="queue-4", type="type-5", statuses=statuses)
    found, plans = await explained(searchable, wanted)
    assert found == GROUP
    assert sum(plan.rows_read for plan in plans) <= GROUP + 100
