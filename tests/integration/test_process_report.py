"""What a process reports of itself: its roles, its failing duties, its clock; and that it has stopped."""

import asyncio
from uuid import UUID

import pytest

from taskmill.composition.process_report import ProcessReport
from taskmill.domain.attention_snapshot import ProcessState
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.storage import processes
from tests.support.polling import eventually
from tests.support.stage import Stage


def a_report(stage: Stage, *services: Service) -> ProcessReport:
    return ProcessReport(
        stage.database,
        stage.clock,
        UUID(int=7),
        process_name="host-1",
        roles=("relay", "api"),
        services=services,
    )


async def stored(stage: Stage) -> ProcessState:
    [found] = await processes.all_processes(stage.database)
    return found


async def test_a_process_reports_its_roles_and_that_its_clock_is_right(stage: Stage) -> None:
    report = a_report(stage)
    await report.report()
    await report.report()
    found = await stored(stage)
    assert (found.name, found.roles, bool(found.version)) == ("host-1", ["api", "relay"], True)
    assert abs(found.clock_ahead_s) < 5


async def test_a_clock_that_is_moved_is_measured(stage: Stage) -> None:
    report = a_report(stage)
    stage.clock._offset -= 60
    await report.report()
    assert 55 < (await stored(stage)).clock_ahead_s < 65


async def test_a_duty_that_fails_is_reported_until_it_succeeds(stage: Stage) -> None:
    stop, may_succeed = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        if not may_succeed.is_set():
            raise OSError("a text with a secret")

    duty = Periodic("fold", work, interval_s=0.001, longest_s=0.01)
    report = a_report(stage, duty)

    async def has_failed() -> bool:
        return duty.failure is not None and duty.failure.failures >= 3

    async def has_succeeded() -> bool:
        return duty.failure is None

    async with asyncio.TaskGroup() as group:
        group.create_task(duty.run(stop))
        await eventually(has_failed, "three failures")
        await report.report()
        [failing] = (await stored(stage)).failing
        assert (failing.name, failing.failures >= 3, failing.error) == ("fold", True, "OSError")
        assert 0 <= failing.for_s < 60
        may_succeed.set()
        await eventually(has_succeeded, "a success")
        await report.report()
        assert (await stored(stage)).failing == []
        stop.set()


async def test_a_report_that_failed_is_repeated_before_the_process_is_taken_for_gone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, paused = asyncio.Event(), list[float]()

    async def record(_: asyncio.Event, seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 3:
            stop.set()

    monkeypatch.setattr("taskmill.runtime.periodic.pause", record)
    await stage.sql.execute("ALTER TABLE taskmill.process RENAME TO elsewhere")
    try:
        await a_report(stage).run(stop)
    finally:
        await stage.sql.execute("ALTER TABLE taskmill.elsewhere RENAME TO process")
    assert paused == [60, 60, 60]


async def test_a_process_that_stops_in_order_is_there_no_more(stage: Stage) -> None:
    stop = asyncio.Event()

    async def is_there() -> bool:
        return bool(await processes.all_processes(stage.database))

    async with asyncio.TaskGroup() as group:
        group.create_task(a_report(stage).run(stop))
        await eventually(is_there, "a report")
        stop.set()
    assert await processes.all_processes(stage.database) == []


async def test_processes_that_were_not_seen_for_a_day_are_forgotten(stage: Stage) -> None:
    report = a_report(stage)
    await report.report()
    await stage.sql.execute(
        "UPDATE taskmill.process SET id = gen_random_uuid(), seen_at = now() - interval '25 h'"
    )
    await report.report()
    assert (await stored(stage)).id == UUID(int=7)
