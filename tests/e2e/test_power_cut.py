"""Everything is killed at once during work, or one of two workers: how soon it recovers."""

import asyncio
import os
import signal
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from taskmill.cli.main import run
from taskmill.settings.groups import LeaseSettings
from tests.support.polling import eventually
from tests.support.processes import Program, descendants
from tests.support.safety import assert_safe
from tests.support.stage import Stage

TASKS = 20_000
BATCH = 5_000
TTL_S = LeaseSettings().ttl_s


def post(program: Program, count: int, *, delay_s: float) -> None:
    body = [{"name": "t", "payload": {"delay_s": delay_s, "failure_probability": 0}}] * min(
        count, BATCH
    )
    with program.client() as http:
        for _ in range(count // len(body)):
            assert http.post("/tasks/batch", json=body).status_code == 201


def cut_the_power(program: Program) -> None:
    """Kill every process at the same moment: they are stopped first, so none of them sees another die."""
    everyone = [program.process.pid, *descendants(program.process.pid)]
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in everyone:
            with suppress(ProcessLookupError):  # it had just ended by itself
                os.kill(pid, number)
    program.process.wait()


async def count(sql: "asyncpg.Connection[asyncpg.Record]", condition: str) -> int:
    counted: int = await sql.fetchval(
        f"SELECT count(*) FROM taskmill.current_task WHERE {condition}"  # noqa: S608 - our own conditions
    )
    return counted


@pytest.mark.slow
async def test_after_a_power_cut_all_of_20000_tasks_end_within_a_minute_of_the_leases(
    tmp_path: Path,
) -> None:
    arguments = ("up", "--port", "0", "--data", tmp_path / "data", "--workers", "2")
    with Program(*arguments, folder=tmp_path / "before", env={}) as before:
        post(before, TASKS, delay_s=0.5)
        sql = await asyncpg.connect(before.facts["database_url"])

        async def is_at_work() -> bool:
            return await count(sql, "status = 'succeeded'") > TASKS // 10

        await eventually(is_at_work, "some tasks to end")
        assert await count(sql, "status = 'in_progress'") > 0
        await sql.close()
        cut_the_power(before)
    leases_end_at = asyncio.get_running_loop().time() + TTL_S
    with Program(*arguments, folder=tmp_path / "after", env={}) as after:
        sql = await asyncpg.connect(after.facts["database_url"])
        try:

            async def have_ended() -> bool:
                return await count(sql, "status = 'succeeded'") == TASKS

            left_s = leases_end_at + 60 - asyncio.get_running_loop().time()
            await eventually(have_ended, "all tasks to succeed", timeout_s=left_s)
            assert await count(sql, "losses > 0") > 0, "some were running at the power cut"
            assert await count(sql, "attempt > 1") == 0
            await assert_safe(sql)
        finally:
            await sql.close()
        url = after.facts["database_url"]
        assert await asyncio.to_thread(run, ["verify", "--database-url", url]) == 0


@pytest.mark.slow
async def test_the_tasks_of_a_killed_worker_run_again_two_seconds_after_its_lease_at_the_latest(
    stage: Stage, tmp_path: Path
) -> None:
    env = {"TASKMILL_DATABASE_URL": stage.url, "TASKMILL_BROKER": "postgres"}

    def start(name: str, *roles: str) -> Program:
        named = {**env, "TASKMILL_WORKER__NAME": name}
        return Program("run", *roles, folder=tmp_path / name, env=named)

    with start("first", "worker") as first, start("second", "worker", "maintenance"):
        for _ in range(100):
            await stage.created(payload={"delay_s": 20, "failure_probability": 0})

        async def all_run() -> bool:
            return await count(stage.sql, "status = 'in_progress'") == 100

        await eventually(all_run, "all tasks to run")
        first.process.kill()
        killed_at = await stage.sql.fetchval("SELECT clock_timestamp()")
        lost: int = await stage.sql.fetchval(
            "SELECT count(*) FROM taskmill.current_task AS t JOIN taskmill.lease AS l ON l.id = t.lease_id "
            "WHERE l.worker = 'first'"
        )
        assert lost > 0

        async def run_again() -> bool:
            return await count(stage.sql, "status = 'in_progress' AND claim_no = 2") == lost

        await eventually(run_again, "the lost tasks to run again", timeout_s=TTL_S + 10)
        last = await stage.sql.fetchval(
            "SELECT max(at) FROM taskmill.task_history WHERE event = 'claimed' AND claim_no = 2"
        )
    assert last - killed_at < timedelta(seconds=TTL_S + 2)
    await assert_safe(stage.sql)
