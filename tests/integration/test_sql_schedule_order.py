"""In which order is done what SQL asks for of a schedule, and what others change of it over HTTP."""

import pytest

from tests.support.scheduling import Scheduler
from tests.support.sql import a_session
from tests.support.sql_schedules import do_requests, pause_schedule, put_schedule
from tests.support.stage import Stage
from tests.support.verifying import found_in


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_pause_that_was_asked_for_is_part_of_what_is_put_after_it(
    scheduler: Scheduler, *, is_there: bool
) -> None:
    """As if maintenance had paused it at once: who puts it sees that, and may have it go on."""
    if is_there:
        await scheduler.put(task={"name": "x", "queue": "shop"})
    else:
        await put_schedule(scheduler.stage.sql, task={"name": "x", "queue": "mail"})
    await pause_schedule(scheduler.stage.sql)
    put = await scheduler.put(every="PT3M", task={"name": "x", "queue": "mail"})
    assert put.paused_at is not None
    assert '"PT3M"' in put.content.spec
    assert (await scheduler.get()).request is None, "nothing is left to do"
    await scheduler.schedules.resume("report")
    await do_requests(scheduler)
    assert (await scheduler.get()).paused_at is None
    assert await found_in(scheduler.database) == {}


async def test_the_end_of_a_pause_that_was_asked_for_comes_before_what_is_put_after_it(
    scheduler: Scheduler,
) -> None:
    await scheduler.put()
    await scheduler.schedules.pause("report")
    await pause_schedule(scheduler.stage.sql, paused=False)
    put = await scheduler.put(every="PT3M")
    assert (put.paused_at, put.revision) == (None, 2)


async def test_a_pause_of_an_open_transaction_comes_after_what_is_put_meanwhile(
    scheduler: Scheduler,
) -> None:
    await scheduler.put()
    async with a_session(scheduler.stage) as mine, mine.transaction():
        await pause_schedule(mine)
        assert (await scheduler.put(every="PT3M")).paused_at is None
    await do_requests(scheduler)
    assert (await scheduler.get()).paused_at is not None
