"""The migration after which a claim has no row in the history: nothing of that is lost or changed, both ways."""

import asyncpg
import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.domain.lifecycle import succeeded
from taskmill.storage import claims, migrate
from taskmill.storage.claims import AttemptEnd
from tests.support.migrating import apart, applied, downgrade, fetch_rows, migrate_with_roles
from tests.support.mixture import a_mixture
from tests.support.safety import assert_safe
from tests.support.stage import a_stage
from tests.support.verifying import found_in

BEFORE, OWN = "0035", "0036"
COLUMNS = "task_id, version, at, event, status, run, attempt, losses, claim_no, run_at, lease_id, worker, reason"
HISTORY = f"SELECT {COLUMNS}, error FROM taskmill.{{table}} ORDER BY task_id, version"  # noqa: S608 - our own


async def with_a_mixture(url: str) -> None:
    """Make tasks to which everything has happened, some of which run, as programs of before leave them."""
    await apart(migrate_with_roles, url)
    async with a_stage(url) as stage:
        await a_mixture(stage)
    await apart(downgrade, url, BEFORE)


async def test_a_history_is_the_same_before_and_after_and_before_again(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    await with_a_mixture(url)
    before = await fetch_rows(url, HISTORY.format(table="task_event"))
    versions = [(row[0], row[1]) for row in before]
    assert len(set(versions)) == len(versions) > 50
    await apart(migrate.upgrade, url, OWN)
    assert await fetch_rows(url, HISTORY.format(table="task_history")) == before
    [(claims_of_old, running)] = await fetch_rows(
        url,
        "SELECT (SELECT count(*) FROM taskmill.task_event WHERE event = 'claimed'), "
        "(SELECT count(*) FROM taskmill.running WHERE cancel_requested_at IS NULL)",
    )
    assert claims_of_old == len([row for row in before if row[3] == "claimed"]) - running
    assert running > 0
    await apart(downgrade, url, BEFORE)
    assert await fetch_rows(url, HISTORY.format(table="task_event")) == before


async def test_what_ran_before_the_migration_ends_after_it(empty_database_url: str) -> None:
    url = empty_database_url
    await with_a_mixture(url)
    before = await fetch_rows(url, HISTORY.format(table="task_event"))
    await apart(migrate_with_roles, url)
    async with a_stage(url) as stage:
        [lease] = await stage.sql.fetch("SELECT DISTINCT lease_id FROM taskmill.running")
        attempts = await claims.find_of_lease(stage.database, lease["lease_id"])
        assert {attempt.cancel_requested for attempt in attempts} == {False, True}
        done = succeeded(None)
        ends = [
            AttemptEnd(fence=attempt.fence, transition=done, if_cancel_requested=done)
            for attempt in attempts
        ]
        assert len(await claims.end(stage.database, ends, worker="w")) == len(attempts)
        await assert_safe(stage.sql)
        assert await found_in(stage.database) == {}
        after = await fetch_rows(url, HISTORY.format(table="task_history"))
        assert [row for row in after if row in before] == before


async def test_a_claim_that_lacks_its_row_does_not_stop_the_migration(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    await with_a_mixture(url)
    await fetch_rows(url, "DELETE FROM taskmill.task_event WHERE event = 'claimed'")
    await apart(migrate.upgrade, url, OWN)
    assert set(await fetch_rows(url, "SELECT claimed_by FROM taskmill.running")) == {("",)}


async def test_it_begins_when_no_process_is_connected(empty_database_url: str) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, BEFORE)
    process = await asyncpg.connect(url, server_settings={"application_name": "taskmill"})
    with pytest.raises(ConfigurationError, match="stop them first"):
        await apart(migrate.upgrade, url, OWN)
    await process.close()
    assert await applied(url) == BEFORE
