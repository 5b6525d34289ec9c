"""What benchmarks read of the tasks is what happened."""

from datetime import timedelta

from benchmarks.scenarios import steady_state
from tests.support.stage import Stage


async def test_the_wait_of_a_task_is_known_while_it_runs(stage: Stage) -> None:
    before = stage.clock.now() - timedelta(minutes=1)
    await stage.running(await stage.open_lease())
    query = steady_state.WAITED.replace("SYSTEM (20)", "SYSTEM (100)")
    [row] = await stage.sql.fetch(query, before)
    assert 50 < row["at_s"] < 120
    assert -100 < row["ms"] < 60_000
