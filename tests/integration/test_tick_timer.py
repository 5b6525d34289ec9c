"""When a tick comes, its task is made at once: a timer waits for it, not a poll."""

import asyncio
from datetime import timedelta

from taskmill.composition.maintenance import maintenance_services
from taskmill.composition.process_context import ProcessContext
from taskmill.maintenance.firing import TickTimer
from taskmill.settings import Settings
from tests.support.polling import eventually
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage

TICKS = 5


async def test_a_tick_comes_in_time_on_an_idle_system(stage: Stage) -> None:
    """Half of the ticks are less than 0.15 s late: by polls alone it would be 0.25 s and more."""
    scheduler = Scheduler(stage)
    start = await scheduler.now() + timedelta(seconds=2.37)
    ticks = [start + n * timedelta(seconds=1.1) for n in range(TICKS)]
    await scheduler.put(at=[tick.isoformat() for tick in ticks])
    context = ProcessContext(Settings(database_url=stage.url))
    stop = asyncio.Event()

    async def have_fired() -> bool:
        return len(await scheduler.fires()) == TICKS

    async with asyncio.TaskGroup() as group:
        for service in maintenance_services(context):
            group.create_task(service.run(stop))
        await eventually(have_fired, "all ticks to fire")
        stop.set()
    await context.close()
    late = await stage.sql.fetch("SELECT at - tick AS late FROM taskmill.schedule_fire")
    by_lateness = sorted(row["late"] for row in late)
    assert by_lateness[0] >= timedelta(0)
    assert by_lateness[TICKS // 2] < timedelta(seconds=0.15)


async def test_the_timer_waits_for_the_tick_that_was_set_last() -> None:
    woken = asyncio.Event()
    timer = TickTimer()
    timer.wake = woken.set
    timer.set(3600)
    timer.set(None)
    assert not woken.is_set()
    timer.set(0.01)
    async with asyncio.timeout(5):
        await woken.wait()
    woken.clear()
    timer.set(-1)
    assert woken.is_set()
