"""`GET /doctor` and `taskmill doctor`: who may ask, what they show, and the exit status."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import orjson
import pytest

from taskmill.client import AsyncTaskmillClient
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.commands import Taskmill, taskmill
from tests.support.migrating import apart
from tests.support.stage import Stage

__all__ = ["taskmill"]


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def test_only_an_admin_may_examine_the_service(required: Served, stage: Stage) -> None:
    for grant, status in (("tasks:read", 403), ("tasks:operate", 403), ("admin", 200)):
        key = shown(await a_new_key(stage.database, grant))
        assert (await required.get("/doctor", headers=key)).status_code == status
    assert (await required.get("/doctor")).status_code == 401


async def test_the_report_has_evidence_and_commands(api: Served, stage: Stage) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.process (id, name, roles, version, clock_ahead_s, failing_duties) "
        "VALUES ($1, 'host-1', '{relay}', '1.0.0', 60, '[]')",
        uuid4(),
    )
    report = (await api.get("/doctor")).json()
    assert report["verdict"] == "trouble"  # servers of tests are not durable
    found = {one["kind"]: one for one in report["diagnoses"]}
    assert found["clock_skew"]["command"] == "chronyc makestep"
    assert found["clock_skew"]["evidence"]
    assert report["versions"] == {"1.0.0": 1}
    assert report["migration"] == report["needed_migration"]


async def test_the_client_reads_the_same(api: Served) -> None:
    async with AsyncTaskmillClient(api.url) as client:
        report = await client.doctor()
    assert {one.kind for one in report.diagnoses} == {"settings"}
    assert report.unseen


async def run(taskmill: Taskmill, *arguments: str) -> tuple[int, str, str]:
    return await apart(taskmill, "doctor", *arguments)


async def test_the_command_prints_what_is_wrong_and_what_fixes_it(
    taskmill: Taskmill, stage: Stage
) -> None:
    status, out, _ = await run(taskmill, "--database-url", stage.url)
    assert status == 2
    assert "ALTER SYSTEM SET fsync = on" in out
    status, out, _ = await run(taskmill, "--database-url", stage.url, "--json")
    assert (status, orjson.loads(out)["verdict"]) == (2, "trouble")


async def test_the_command_needs_no_service_and_asks_one_only_on_request(
    taskmill: Taskmill, api: Served
) -> None:
    status, out, _ = await run(taskmill, "--url", api.url, "--json")
    assert (status, orjson.loads(out)["verdict"]) == (2, "trouble")


async def test_without_an_address_the_exit_status_says_that_nothing_was_examined(
    taskmill: Taskmill,
) -> None:
    status, out, err = await run(taskmill)
    assert (status, out) == (3, "")
    assert "no database is set" in err


async def test_a_database_that_is_away_is_trouble_not_a_failure(taskmill: Taskmill) -> None:
    status, out, _ = await run(taskmill, "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert status == 2
    assert "database_away" in out


async def test_the_worst_decides_the_exit_status(
    taskmill: Taskmill, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers of tests are not durable, so that this one says it is."""
    monkeypatch.setattr("taskmill.operations.doctor_settings._NOT_DURABLE", {})
    await stage.open_lease(ttl_s=15)
    assert (await run(taskmill, "--database-url", stage.url))[0] == 0
    await stage.sql.execute(
        "INSERT INTO taskmill.process (id, name, roles, version, clock_ahead_s, failing_duties) "
        "VALUES ($1, 'host-1', '{relay}', '1.0.0', 60, '[]')",
        uuid4(),
    )
    assert (await run(taskmill, "--database-url", stage.url))[0] == 1


async def test_text_from_the_database_can_not_steer_the_terminal(
    taskmill: Taskmill, stage: Stage
) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.process (id, name, roles, version, clock_ahead_s, failing_duties) "
        "VALUES ($1, $2, '{relay}', '1.0.0', 60, '[]')",
        uuid4(),
        "host\x1b[2J",
    )
    _, out, _ = await run(taskmill, "--database-url", stage.url)
    assert "\x1b[2J" not in out
    assert isinstance(stage.sql, asyncpg.Connection)
