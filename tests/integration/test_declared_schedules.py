"""Schedules that an app's code declares: stored when a worker starts, paused when they are declared no longer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from taskmill import Taskmill
from taskmill.composition.declared_schedules import ScheduleRegistration
from taskmill.composition.process_context import ProcessContext
from taskmill.composition.workers import worker_services
from taskmill.domain.fires import FireOutcome
from taskmill.operations.declared_schedules import Declarations, DeclaredSchedules
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.settings import Settings
from taskmill.storage import declared_schedules as rows
from taskmill.wire.schedule_requests import to_schedule
from tests.support.api import LogLines
from tests.support.polling import eventually
from tests.support.scheduling import Scheduler, queues_locked
from tests.support.sql_schedules import do_requests, pause_schedule
from tests.support.stage import Stage
from tests.support.verifying import found_in

NIGHTLY: dict[str, Any] = {"cron": "30 2 * * *", "task": {"name": "report", "type": "report"}}
HOURLY: dict[str, Any] = {"every": "PT1H", "task": {"name": "report", "type": "report"}}


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


def declared(scheduler: Scheduler) -> DeclaredSchedules:
    reading = ScheduleReading(scheduler.creation, scheduler.contracts, scheduler.limits)
    return DeclaredSchedules(scheduler.database, scheduler.firing, reading)


def declarations(app: str = "shop", /, **bodies: Mapping[str, Any]) -> Declarations:
    drafts = {name: to_schedule(dict(body)) for name, body in bodies.items()}
    return Declarations(app=app, worker="w", drafts=drafts)


async def start(
    scheduler: Scheduler, app: str = "shop", *, insists: bool = False, **bodies: Mapping[str, Any]
) -> bool:
    """Do what a worker does when it starts."""
    return await declared(scheduler).register(declarations(app, **bodies), insists=insists)


async def states(scheduler: Scheduler) -> dict[str, tuple[str | None, bool]]:
    """Who manages each schedule, and whether it is paused."""
    page = await scheduler.schedules.page(after=None, limit=500)
    return {one.name: (one.content.managed_by, one.paused_at is not None) for one in page}


async def every(scheduler: Scheduler, name: str = "report") -> str | None:
    """The interval of a schedule."""
    found: str | None = orjson.loads((await scheduler.get(name)).content.spec)["every"]
    return found


async def entries(stage: Stage) -> int:
    found: int = await stage.sql.fetchval("SELECT count(*) FROM taskmill.audit_entry")
    return found


async def test_what_is_declared_is_stored_and_managed_by_the_app(scheduler: Scheduler) -> None:
    assert await start(scheduler, report=NIGHTLY)
    stored = await scheduler.get()
    assert (stored.content.managed_by, stored.revision) == ("shop", 1)
    same = await scheduler.put("same", **NIGHTLY)
    assert (stored.content.spec, stored.content.task) == (same.content.spec, same.content.task)


async def test_a_worker_that_starts_again_writes_nothing(
    scheduler: Scheduler, stage: Stage
) -> None:
    await start(scheduler, report=NIGHTLY)
    before = await scheduler.get(), await entries(stage)
    await start(scheduler, report=NIGHTLY)
    after = await scheduler.get(), await entries(stage)
    assert (after[0].revision, after[0].updated_at) == (before[0].revision, before[0].updated_at)
    assert after[1] == before[1]


async def test_workers_that_start_at_once_store_it_once(scheduler: Scheduler) -> None:
    await asyncio.gather(*(start(scheduler, report=NIGHTLY) for _ in range(10)))  # noqa: TID251 - at once
    assert (await scheduler.get()).revision == 1
    assert await states(scheduler) == {"report": ("shop", False)}


async def test_new_code_replaces_what_it_declares_and_fires_what_is_due_as_before(
    scheduler: Scheduler,
) -> None:
    await start(scheduler, report={**HOURLY, "every": "PT1M"})
    await scheduler.age(timedelta(minutes=1))
    await start(scheduler, report=NIGHTLY)
    stored = await scheduler.get()
    assert (stored.revision, '"30 2 * * *"' in stored.content.spec) == (2, True)
    assert await scheduler.outcomes() == [(FireOutcome.CREATED, 1)]
    assert await found_in(scheduler.database) == {}


async def test_what_the_code_has_no_longer_is_paused_and_not_deleted(
    scheduler: Scheduler, log_lines: LogLines
) -> None:
    await start(scheduler, report=NIGHTLY, refresh=HOURLY)
    await start(scheduler, report=NIGHTLY)
    assert await states(scheduler) == {"report": ("shop", False), "refresh": ("shop", True)}
    assert [one["schedule"] for one in log_lines.named("schedule.undeclared")] == ["refresh"]
    shown = await scheduler.get("refresh")
    assert shown.undeclared_at == shown.paused_at
    [listed] = [one for one in await scheduler.schedules.page(after=None, limit=5) if one.paused_at]
    assert listed.undeclared_at == shown.undeclared_at


async def test_an_app_that_declares_nothing_any_more_has_all_paused(scheduler: Scheduler) -> None:
    await start(scheduler, report=NIGHTLY)
    await start(scheduler)
    assert await states(scheduler) == {"report": ("shop", True)}


async def test_what_is_declared_again_goes_on(scheduler: Scheduler) -> None:
    anchor = await scheduler.now() - timedelta(minutes=30)
    hourly = {**HOURLY, "anchor": anchor.isoformat()}
    await start(scheduler, report=hourly)
    await start(scheduler, other=HOURLY)
    await scheduler.age(timedelta(hours=3))
    await start(scheduler, report=hourly, other=HOURLY, third=HOURLY)
    stored = await scheduler.get()
    assert (stored.paused_at, stored.undeclared_at) == (None, None)
    assert await scheduler.outcomes() == [(FireOutcome.SKIPPED_PAUSED, 3)]
    assert await found_in(scheduler.database) == {}


async def test_a_pause_of_an_operator_survives_all_starts_of_workers(scheduler: Scheduler) -> None:
    await start(scheduler, report=HOURLY)
    await scheduler.schedules.pause("report")
    await start(scheduler, report=HOURLY)
    assert await states(scheduler) == {"report": ("shop", True)}
    await start(scheduler, report=NIGHTLY)
    assert await states(scheduler) == {"report": ("shop", True)}
    await start(scheduler, other=HOURLY)
    await start(scheduler, report=NIGHTLY, other=HOURLY)
    assert (await states(scheduler))["report"] == ("shop", True)


@pytest.mark.parametrize("entry", ["http", "sql"])
async def test_a_pause_of_what_the_code_has_no_longer_holds_when_it_is_declared_again(
    scheduler: Scheduler, stage: Stage, entry: str
) -> None:
    """It was paused already, as the code did not have it: the operator's is a reason of its own."""
    await start(scheduler, report=HOURLY)
    await start(scheduler, other=HOURLY)
    await scheduler.age(timedelta(hours=3))
    if entry == "http":
        await scheduler.schedules.pause("report")
    else:
        await pause_schedule(stage.sql)
        await do_requests(scheduler)
    paused = await scheduler.get()
    again = await scheduler.schedules.pause("report")
    assert again.paused_at == paused.paused_at, "it is paused since then"
    await start(scheduler, report=HOURLY, other=HOURLY)
    stored = await scheduler.get()
    assert (stored.paused_at, stored.undeclared_at) == (paused.paused_at, None)
    await scheduler.schedules.resume("report")
    assert (await states(scheduler))["report"] == ("shop", False)
    assert await found_in(scheduler.database) == {}


async def test_an_operator_may_have_go_on_what_the_code_has_no_longer(scheduler: Scheduler) -> None:
    await start(scheduler, report=HOURLY)
    await start(scheduler, other=HOURLY)
    await scheduler.schedules.resume("report")
    await start(scheduler, other=HOURLY)
    assert (await states(scheduler))["report"] == ("shop", False)


@pytest.mark.parametrize("owner", [None, "billing"])
async def test_a_schedule_that_somebody_else_has_made_stays_as_it_is(
    scheduler: Scheduler, owner: str | None, log_lines: LogLines
) -> None:
    if owner is None:
        await scheduler.put(**HOURLY)
    else:
        await start(scheduler, owner, report=HOURLY)
    await start(scheduler, report=NIGHTLY, other=NIGHTLY)
    await start(scheduler, other=NIGHTLY)
    assert await every(scheduler) == "PT1H"
    assert await states(scheduler) == {"report": (owner, False), "other": ("shop", False)}
    [warning] = log_lines.named("schedule.not_declared")
    assert (warning["schedule"], warning["app"], warning["level"]) == (
        "report",
        "shop",
        "warning",
    )
    assert ("billing" in warning["problem"]) == (owner is not None)


async def test_a_schedule_that_an_operator_puts_is_no_longer_the_apps(scheduler: Scheduler) -> None:
    await start(scheduler, report=HOURLY)
    await scheduler.put(**NIGHTLY)
    await start(scheduler, report=HOURLY)
    assert await states(scheduler) == {"report": (None, False)}
    await start(scheduler)
    assert await states(scheduler) == {"report": (None, False)}


async def test_a_declared_schedule_that_was_deleted_comes_back_with_the_next_start(
    scheduler: Scheduler,
) -> None:
    await start(scheduler, report=HOURLY)
    await scheduler.schedules.delete("report")
    await start(scheduler, report=HOURLY)
    assert await states(scheduler) == {"report": ("shop", False)}


async def test_one_that_can_not_be_stored_keeps_no_other_one(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    monkeypatch.setattr(scheduler.creation.queues, "_limit", 1)
    await start(
        scheduler,
        a={**HOURLY, "task": {"name": "a", "queue": "first"}},
        b={**HOURLY, "task": {"name": "b", "queue": "second"}},
        c={**HOURLY, "task": {"name": "c", "queue": "first"}},
    )
    assert sorted(await states(scheduler)) == ["a", "c"]
    assert [one["schedule"] for one in log_lines.named("schedule.not_declared")] == ["b"]


async def test_an_old_version_that_starts_once_more_changes_nothing(scheduler: Scheduler) -> None:
    """As in a rolling restart: the machine of an old one starts it again."""
    await start(scheduler, report=HOURLY, old=HOURLY)
    await start(scheduler, report=NIGHTLY, new=HOURLY)
    before = await states(scheduler)
    for _ in range(3):
        assert not await start(scheduler, report=HOURLY, old=HOURLY)
        assert await start(scheduler, report=NIGHTLY, new=HOURLY)
    assert await states(scheduler) == before
    assert (await scheduler.get()).revision == 2


async def test_a_version_that_is_rolled_back_to_comes_into_force_when_it_insists(
    scheduler: Scheduler,
) -> None:
    await start(scheduler, report=HOURLY, old=HOURLY)
    await start(scheduler, report=NIGHTLY, new=HOURLY)
    assert await start(scheduler, insists=True, report=HOURLY, old=HOURLY)
    assert await states(scheduler) == {
        "report": ("shop", False),
        "old": ("shop", False),
        "new": ("shop", True),
    }
    assert not await start(scheduler, report=NIGHTLY, new=HOURLY), "now that one was replaced"


async def test_of_two_versions_that_start_at_once_one_holds_for_all_schedules(
    scheduler: Scheduler,
) -> None:
    names = [f"s{number}" for number in range(8)]
    versions = [declarations(**dict.fromkeys(names, body)) for body in (HOURLY, NIGHTLY)]
    await asyncio.gather(*(declared(scheduler).register(one) for one in versions))  # noqa: TID251 - at once
    specs = {(await scheduler.get(name)).content.spec for name in names}
    assert len(specs) == 1


async def test_a_version_that_is_replaced_while_it_registers_stores_nothing_more(
    scheduler: Scheduler, stage: Stage
) -> None:
    await start(scheduler, report={**HOURLY, "every": "PT3H"})
    slow = {**NIGHTLY, "task": {"name": "report", "queue": "new"}}

    async def is_in_force() -> bool:
        found = await rows.get(scheduler.database, "shop")
        return found is not None and len(found.replaced) == 1

    async with asyncio.TaskGroup() as group:
        async with queues_locked(stage):
            older = group.create_task(start(scheduler, report=slow))
            await eventually(is_in_force, "the older version")
            await start(scheduler, report=HOURLY)
        await older
    assert await every(scheduler) == "PT1H"
    assert (await scheduler.get()).revision == 2


async def test_only_the_latest_declarations_are_remembered(scheduler: Scheduler) -> None:
    for number in range(60):
        await start(scheduler, report={**HOURLY, "every": f"PT{number + 1}M"})
    found = await rows.get(scheduler.database, "shop")
    assert found is not None
    assert len(found.replaced) == 50


@asynccontextmanager
async def registering(
    scheduler: Scheduler, wanted: Declarations, *, probation_s: float = 600
) -> AsyncIterator[asyncio.Task[None]]:
    """Run the registration of a worker until the block ends."""
    stop = asyncio.Event()
    registration = ScheduleRegistration(declared(scheduler), wanted, probation_s=probation_s)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(registration.register_until(stop))
        try:
            yield task
        finally:
            stop.set()


async def test_a_worker_of_replaced_code_waits_and_then_insists(
    scheduler: Scheduler, log_lines: LogLines
) -> None:
    await start(scheduler, report=HOURLY)
    await start(scheduler, report=NIGHTLY)
    old = declarations(report=HOURLY)
    async with registering(scheduler, old) as task:

        async def waits() -> bool:
            return log_lines.named("schedule.declarations_wait") != []

        await eventually(waits, "its wait")
    assert task.done()
    assert await every(scheduler) is None, "it was stopped meanwhile"
    async with registering(scheduler, old, probation_s=0.05) as task:
        await task
    assert await every(scheduler) == "PT1H"


async def test_a_worker_that_starts_while_the_database_is_away_registers_later(
    scheduler: Scheduler, stage: Stage, log_lines: LogLines
) -> None:
    await stage.sql.execute("ALTER TABLE taskmill.schedule_app RENAME TO away")
    async with registering(scheduler, declarations(report=HOURLY)) as task:

        async def failed() -> bool:
            return log_lines.named("schedule.declarations_delayed") != []

        await eventually(failed, "a failure")
        await stage.sql.execute("ALTER TABLE taskmill.away RENAME TO schedule_app")
        await task
    assert await states(scheduler) == {"report": ("shop", False)}


async def test_a_worker_that_starts_registers_what_its_app_declares(
    scheduler: Scheduler, stage: Stage
) -> None:
    app = Taskmill("shop")

    @app.task(queue="reports", priority=7, cron="30 2 * * *", zone="Europe/Moscow")
    async def report() -> None:
        """Report."""

    context = ProcessContext(Settings(database_url=stage.url))
    context.app = app
    stop = asyncio.Event()

    async def is_there() -> bool:
        return await states(scheduler) == {"report": ("shop", False)}

    async with asyncio.TaskGroup() as group:
        for service in worker_services(context, stop.set):
            group.create_task(service.run(stop))
        await eventually(is_there, "its schedule")
        stop.set()
    await context.close()
    stored = await scheduler.get()
    assert (stored.content.queue, stored.content.type) == ("reports", "report")
    assert orjson.loads(stored.content.task)["priority"] == 7


async def test_processes_may_not_delete_what_apps_declare(stage: Stage) -> None:
    async with stage.database.hot() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM taskmill.schedule_app")
