"""Jobs outlive the processes that go on with them, and any process shows and stops them."""

from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.support.builders import a_draft
from tests.support.polling import eventually
from tests.support.processes import Program
from tests.support.safety import assert_safe
from tests.support.stage import Stage

TASKS = 2_500


async def job_of(url: str, job_id: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        found: dict[str, Any] = (await http.get(f"/jobs/{job_id}")).raise_for_status().json()
        return found


async def test_a_job_goes_on_when_its_process_was_killed_and_another_one_shows_it(
    stage: Stage, tmp_path: Path
) -> None:
    env = {"TASKMILL_DATABASE_URL": stage.url}
    await stage.creation.create_all([a_draft(queue="a") for _ in range(TASKS)])
    holder = await asyncpg.connect(stage.url)
    try:
        with Program("run", "api", "--port", "0", folder=tmp_path / "a", env=env) as first:
            # The third step waits: the two before it are done.
            await holder.execute("BEGIN")
            await holder.execute(
                "SELECT FROM taskmill.dispatch WHERE task_id = "
                "(SELECT task_id FROM taskmill.dispatch ORDER BY task_id OFFSET 2000 LIMIT 1) "
                "FOR UPDATE"
            )
            async with httpx.AsyncClient(base_url=first.facts["url"], timeout=10) as http:
                started = await http.post("/jobs", json={"action": "cancel", "queue": "a"})
            job = started.raise_for_status().json()

            async def has_stopped_short() -> bool:
                return bool((await job_of(first.facts["url"], job["id"]))["matched"] == 2000)

            await eventually(has_stopped_short, "two steps of the job")
            first.process.kill()
            first.process.wait(30)
        # As if its time were over.
        await holder.execute("ROLLBACK; UPDATE taskmill.job SET held_until = now()")
        with Program("run", "api", "--port", "0", folder=tmp_path / "b", env=env) as second:

            async def is_done() -> bool:
                return bool((await job_of(second.facts["url"], job["id"]))["state"] == "done")

            await eventually(is_done, "the job is done")
            found = await job_of(second.facts["url"], job["id"])
            assert (found["matched"], found["changed"]) == (TASKS, TASKS)
            assert not second.logged("job.failed")
    finally:
        await holder.close()
    await assert_safe(stage.sql)
