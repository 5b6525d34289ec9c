"""Which tick of which schedule made a task, as its explanation says."""

from datetime import timedelta

from taskmill.wire.basics import format_timestamp
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key
from tests.support.explanations import explained
from tests.support.plans import check, explaining
from tests.support.scheduling import Scheduler
from tests.support.stage import Stage


async def test_a_task_names_the_tick_that_made_it(api: Served, stage: Stage) -> None:
    scheduler = Scheduler(stage)
    tick = await scheduler.due("nightly")
    await scheduler.fire()
    [task] = await scheduler.tasks("nightly")
    made = {"name": "nightly", "cause": "tick", "deleted": False}
    found = (await explained(api, task["id"]))["schedule"]
    assert found == {**made, "tick": format_timestamp(tick)}
    by_hand = await scheduler.manual.run("nightly")
    assert (await explained(api, by_hand.task.id))["schedule"]["cause"] == "manual"
    await scheduler.schedules.delete("nightly")
    assert (await explained(api, task["id"]))["schedule"] == {**found, "deleted": True}


async def test_a_task_of_no_schedule_names_none(api: Served, stage: Stage) -> None:
    task = await stage.created(labels='{"schedule": "nightly"}')
    assert (await explained(api, task.id))["schedule"] is None


async def test_a_caught_up_tick_is_named_as_such(api: Served, stage: Stage) -> None:
    scheduler = Scheduler(stage)
    tick = await scheduler.now() - timedelta(minutes=5)
    await scheduler.put("often", at=[tick.isoformat()])
    await scheduler.age(timedelta(minutes=10))
    await scheduler.fire()
    [task] = await scheduler.tasks("often")
    assert (await explained(api, task["id"]))["schedule"]["cause"] == "catch_up"


async def test_a_schedule_that_makes_tasks_of_another_queue_by_now_is_not_named(
    stage: Stage,
) -> None:
    scheduler = Scheduler(stage)
    await scheduler.due("nightly", task={"name": "report", "queue": "mail"})
    await scheduler.fire()
    [task] = await scheduler.tasks("nightly")
    key = await a_new_key(stage.database, "tasks:read queue=mail")
    headers = {"authorization": f"Bearer {key.text}"}
    async with serving(stage.service, REQUIRED) as closed:
        path = f"/tasks/{task['id']}/explain"
        assert (await closed.get(path, headers=headers)).json()["schedule"]["name"] == "nightly"
        await scheduler.put("nightly", task={"name": "report", "queue": "secret"})
        assert (await closed.get(path, headers=headers)).json()["schedule"] is None


async def test_finding_the_tick_of_a_task_reads_its_row(stage: Stage) -> None:
    scheduler = Scheduler(stage)
    await scheduler.due("nightly")
    await scheduler.fire()
    [task] = await scheduler.tasks("nightly")
    async with explaining(stage.database) as session:
        await session.connection.execute(
            "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, task_id)"
            " SELECT n, now(), 'tick', 'created', gen_random_uuid()"
            " FROM generate_series(1000, 20000) AS n"
        )
        rows, plan = await session.fetch("find_task_tick", task["id"])
        assert [row["schedule"] for row in rows] == ["nightly"]
        check(plan, rows=10, pages=60)
