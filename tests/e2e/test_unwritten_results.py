"""A worker that must stop while its database is away reports what it could not write."""

import asyncio
import signal
from pathlib import Path

from taskmill.domain.lifecycle import Status
from tests.support.polling import eventually
from tests.support.processes import Program
from tests.support.proxy import a_network
from tests.support.stage import Stage
from tests.support.workers import in_status

# Long enough for all to run when the network breaks.
EMULATED = {"delay_s": 8, "failure_probability": 0}


async def test_a_stop_without_a_database_prints_which_results_are_lost(
    stage: Stage, tmp_path: Path
) -> None:
    async with a_network(stage.url) as (network, url):
        env = {"TASKMILL_DATABASE_URL": url, "TASKMILL_WORKER__GRACE_S": "0"}
        program = Program("run", "worker", folder=tmp_path, env=env)
        await asyncio.to_thread(program.__enter__)
        try:
            made = [await stage.created(payload=EMULATED) for _ in range(3)]
            for task in made:
                await in_status(stage, task.id, Status.IN_PROGRESS)
            network.refuse(refuses=True)
            network.break_all()

            async def has_ended() -> bool:
                delayed = program.logged("finish.delayed")
                return sum(int(line["tasks"]) for line in delayed if line["failures"] == 1) >= 3

            await eventually(has_ended, "all results wait", timeout_s=30)
            program.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(program.process.wait, 60) == 0
        finally:
            program.process.kill()
            await asyncio.to_thread(program.process.wait)
    [line] = program.logged("finish.unwritten")
    lost = sorted(str(task.id) for task in made)
    assert (line["results"], sorted(line["task_ids"])) == (3, lost)
    message = program.log_file.read_text().splitlines()[-1]
    assert message.startswith("Stopped before 3 results could be written")
    assert all(task_id in message for task_id in lost)
