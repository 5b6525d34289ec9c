"""Lines of handlers that are not kept, and how many: in floods and outages, of lost claims, at a worker's end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from taskmill.app import Context
from taskmill.domain.lifecycle import Status
from taskmill.maintenance.rescue import Rescue
from taskmill.settings import TaskLogSettings
from taskmill.storage import leases
from taskmill.worker.task_log import _LINE_BYTES
from tests.support.api import LogLines
from tests.support.log_lines import counted, lines_once, stored_lines
from tests.support.polling import eventually
from tests.support.proxy import far_away
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import RunningWorker, WorkerOptions, a_worker, finished


async def test_a_flood_is_cut_and_its_last_line_has_the_number_of_missing_lines(
    stage: Stage,
) -> None:
    """Four thousand lines in a loop: some are kept, and no more than that ever waits in memory."""
    waiting: list[int] = []
    before = counted("claim_full")

    async def floods(context: Context) -> None:
        for n in range(2_000):
            context.logger.debug("unwanted")
            logging.getLogger("flood").info("line %s", n)
            context.logger.info("flood", n=n)
        waiting.append(len(running.worker.pool._executor._task_log._waiting))

    limits = TaskLogSettings(claim_lines=100)
    # While it lasts nothing else runs, and no lease is renewed.
    options = WorkerOptions(lines=limits, ttl_s=60)
    async with a_worker(stage, {"*": floods}, options) as running:
        made = await stage.created()
        found = await lines_once(stage, made.id, 101)
        assert (await finished(stage, made.id)).status is Status.SUCCEEDED
    assert waiting == [100]
    assert [line.seq for line in found] == list(range(1, 102))
    assert found[99].fields == '{"n":49}'
    assert (found[100].level, found[100].message) == ("warning", "3900 lines were left out")
    assert counted("claim_full") - before == 3_900


async def test_bytes_of_a_claim_are_bounded_and_what_is_stored_has_no_holes(stage: Stage) -> None:
    async def talks(context: Context) -> None:
        context.logger.info("x" * 400)
        context.logger.info("ü" * 200, a=1)
        context.logger.info("x" * 400)
        context.logger.info("short")

    limits = TaskLogSettings(claim_bytes=1000, message_chars=300)
    async with a_worker(stage, {"*": talks}, WorkerOptions(lines=limits)):
        made = await stage.created()
        found = await lines_once(stage, made.id, 3)
    assert [line.message for line in found] == [
        "x" * 299 + "…",
        "ü" * 200,
        "2 lines were left out",
    ]


async def test_late_lines_of_a_lost_claim_are_dropped_and_counted(
    stage: Stage, log_lines: LogLines
) -> None:
    began, may_talk = asyncio.Event(), asyncio.Event()
    before = counted("superseded")

    async def stubborn(context: Context) -> None:
        context.logger.info("began")
        if context.task.claim_no > 1:
            return
        began.set()
        while not may_talk.is_set():
            try:
                await may_talk.wait()
            except asyncio.CancelledError:
                continue
        context.logger.info("late")

    options = WorkerOptions(ttl_s=0.6, timeout_s=0.1)
    async with a_worker(stage, {"*": stubborn}, options) as running:
        made = await stage.created()
        await began.wait()
        await lines_once(stage, made.id, 1)
        lease_id = running.keeper.lease_id
        assert lease_id is not None
        await leases.close_lease(stage.database, lease_id, "expired")
        await Rescue(
            stage.maintenance_database, ttl_s=60, interval_s=1, name="rescue", clock=stage.clock
        )()
        await finished(stage, made.id)
        await lines_once(stage, made.id, 2)
        may_talk.set()

        async def dropped() -> bool:
            return counted("superseded") == before + 1

        await eventually(dropped, "the late line to be dropped")
    assert [line.position for line in await stored_lines(stage, made.id)] == [(1, 1), (2, 1)]
    [line] = log_lines.named("task_log.dropped")
    assert (line["lines"], line["superseded"]) == (1, 1)
    await assert_safe(stage.sql)


async def test_lines_of_a_stopping_worker_are_stored_before_it_has_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.worker.task_log._GATHER_S", 3600)

    async def talks(context: Context) -> None:
        context.logger.info("said")

    async with a_worker(stage, {"*": talks}):
        made = await stage.created()
        await finished(stage, made.id)
    assert len(await stored_lines(stage, made.id)) == 1


async def test_a_worker_that_can_not_store_its_lines_stops_in_time_and_logs_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    monkeypatch.setattr("taskmill.worker.task_log.LAST_FLUSH_S", 0.05)

    async def talks(context: Context) -> None:
        context.logger.info("said")

    before = counted("stopped")
    async with asyncio.timeout(15), stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE taskmill.task_log IN ACCESS EXCLUSIVE MODE")
        async with a_worker(stage, {"*": talks}) as running:
            made = await stage.created()
            await finished(stage, made.id)
        assert running.ended.done()
    [line] = log_lines.named("task_log.dropped")
    assert (line["stopped"], counted("stopped") - before) == (1, 1)
    assert await stored_lines(stage, made.id) == []


async def test_lines_of_an_outage_wait_up_to_their_limit_and_dropped_ones_are_counted(
    stage: Stage, log_lines: LogLines
) -> None:
    before, talker = counted("queue_full"), Talker()
    limits = TaskLogSettings(waiting_bytes=50 * (_LINE_BYTES + 20))
    async with (
        far_away(stage) as (network, database),
        a_worker(
            stage, {"*": talker}, WorkerOptions(database=database, ttl_s=30, lines=limits)
        ) as running,
    ):
        made = await stage.created()
        await lines_once(stage, made.id, 1)
        network.refuse(refuses=True)
        network.break_all()
        talker.may_talk.set()
        await talker.has_talked.wait()
        assert len(running.worker.pool._executor._task_log._waiting) <= 51

        async def dropped() -> bool:
            return counted("queue_full") > before

        await eventually(dropped, "what had no room to be counted")
        network.refuse(refuses=False)
        await eventually(stored(running), "what waited to be stored")
        talker.may_end.set()
        await finished(stage, made.id)
        await eventually(stored(running), "the last line to be stored")
    found = await stored_lines(stage, made.id)
    missing = int(counted("queue_full") - before)
    missing_lines = [line.message for line in found if "left out" in line.message]
    assert 140 < missing < 160
    assert sum(int(message.split()[0]) for message in missing_lines) == missing
    assert (found[-2].message, found[-1].message) == (missing_lines[-1], "after")
    assert len(found) == 1 + (200 - missing) + len(missing_lines) + 1
    assert [line.seq for line in found] == list(range(1, len(found) + 1))
    assert sum(line["queue_full"] for line in log_lines.named("task_log.dropped")) == missing


class Talker:
    """A handler that logs before, during and after an outage."""

    def __init__(self) -> None:
        self.may_talk, self.has_talked, self.may_end = (asyncio.Event() for _ in range(3))

    async def __call__(self, context: Context) -> None:
        context.logger.info("before")
        await self.may_talk.wait()
        for n in range(200):
            context.logger.info("during", n=n)
        self.has_talked.set()
        await self.may_end.wait()
        context.logger.info("after")


def stored(running: RunningWorker) -> Callable[[], Awaitable[bool]]:
    """Return whether no line is waiting."""

    async def probe() -> bool:
        return not running.worker.pool._executor._task_log._waiting

    return probe


async def test_lines_whose_response_was_lost_are_stored_once(stage: Stage) -> None:
    async def talks(context: Context) -> None:
        for n in range(5):
            context.logger.info("said", n=n)

    async with (
        far_away(stage) as (network, database),
        a_worker(stage, {"*": talks}, WorkerOptions(database=database)) as running,
    ):
        await running.has_lease()
        network.lose_response_to("store a batch of log lines")
        before = counted()
        made = await stage.created()
        await network.cut.wait()
        await finished(stage, made.id)

        async def knows() -> bool:
            return counted() == before + 5

        await eventually(knows, "the worker to know that they are stored")
    assert len(await stored_lines(stage, made.id)) == 5


async def test_a_line_that_postgresql_refuses_fails_alone(
    stage: Stage, log_lines: LogLines
) -> None:
    before = counted("refused")
    await stage.sql.execute(
        "ALTER TABLE taskmill.task_log ADD CONSTRAINT no_fives CHECK (message <> '5')"
    )

    async def talks(context: Context) -> None:
        for n in range(8):
            context.logger.info("%d", n)

    async with a_worker(stage, {"*": talks}):
        made = await stage.created()
        found = await lines_once(stage, made.id, 7)
    assert [line.message for line in found] == ["0", "1", "2", "3", "4", "6", "7"]
    assert counted("refused") == before + 1
    [line] = log_lines.named("task_log.refused")
    assert line["lines"] == 1
