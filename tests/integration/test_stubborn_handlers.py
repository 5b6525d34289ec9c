"""Handlers that ignore being stopped: the attempt ends, the slot is free, and they change nothing any more."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from taskmill.app import Context, PermanentFailure, RetryLater
from taskmill.domain.lifecycle import Status
from taskmill.observability.metrics import HANDLERS_ABANDONED, HANDLERS_LINGERING
from taskmill.storage import leases
from taskmill.worker.handlers import Handler
from tests.support.api import LogLines
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker, finished, in_status

ROOT = Path(__file__).resolve().parents[2]
Payload = Mapping[str, Any]

SHORT = timedelta(milliseconds=50)
IMPATIENT = WorkerOptions(slots=1, timeout_s=0.1, grace_s=0)


class Stubborn:
    """A handler that goes on, however often it is cancelled, until it `may_end`; others end at once."""

    def __init__(self) -> None:
        self.began, self.may_end = asyncio.Event(), asyncio.Event()
        self.cancels = 0

    async def __call__(self, context: Context) -> str:
        payload = context.payload
        if payload.get("quick") or context.task.claim_no > 1:
            return "quick"
        self.began.set()
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.cancels += 1
        return "late"

    async def blocks_in_finally(self, _: Context) -> None:
        """Act like a handler whose cleanup never ends."""
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self.may_end.wait()


async def line_of(log_lines: LogLines, event: str) -> dict[str, Any]:
    """Return the only line of this event, once it is there."""

    async def probe() -> list[dict[str, Any]]:
        return log_lines.named(event)

    [line] = await eventually(probe, f"a line {event}")
    return line


@pytest.mark.parametrize("how", ["swallows", "blocks"])
async def test_a_timeout_is_hard_and_frees_the_slot(
    stage: Stage, log_lines: LogLines, how: str
) -> None:
    stubborn = Stubborn()
    handler: Handler = stubborn if how == "swallows" else stubborn.blocks_in_finally
    async with a_worker(stage, {"stubborn": handler, "emulate": stubborn}, IMPATIENT):
        made = await stage.created(type="stubborn", timeout=SHORT)
        task = await finished(stage, made.id)
        assert task.status is Status.FAILED
        error = {"type": "Timeout", "message": "the attempt ran longer than 0.05 s"}
        assert orjson.loads(task.error or "") == error
        assert (await stage.service.reading.events(made.id))[-1].reason == "timeout"
        quick = await finished(stage, (await stage.created(payload={"quick": True})).id)
        assert quick.status is Status.SUCCEEDED, "the only slot is free"
        line = await line_of(log_lines, "handler.abandoned")
        assert (line["task_id"], line["claim_no"]) == (str(made.id), 1)
        assert log_lines.named("handler.ended_late") == []
        stubborn.may_end.set()
        line = await line_of(log_lines, "handler.ended_late")
        assert line["dropped"] == ("succeeded" if how == "swallows" else "failed")
    assert await stage.task(made.id) == task
    assert stubborn.cancels == (1 if how == "swallows" else 0)
    await assert_safe(stage.sql)


async def test_the_next_attempt_runs_while_the_last_ones_handler_still_does(stage: Stage) -> None:
    stubborn = Stubborn()
    async with a_worker(stage, {"*": stubborn}, IMPATIENT):
        made = await stage.created(timeout=SHORT, max_attempts=2)
        task = await finished(stage, made.id)
        assert (task.status, task.result, task.attempt) == (Status.SUCCEEDED, '"quick"', 2)
        stubborn.may_end.set()
    assert await stage.task(made.id) == task
    events = await stage.service.reading.events(made.id)
    assert [event.event_type for event in events][2:4] == ["retry_scheduled", "claimed"]
    assert (events[2].reason, "Timeout" in (events[2].error or "")) == ("timeout", True)
    await assert_safe(stage.sql)


async def test_abandoned_handlers_are_counted_until_they_end(stage: Stage) -> None:
    stubborn = Stubborn()
    abandoned, lingering = HANDLERS_ABANDONED._value, HANDLERS_LINGERING._value
    before = abandoned.get(), lingering.get()
    async with a_worker(stage, {"*": stubborn}, IMPATIENT):
        await finished(stage, (await stage.created(timeout=SHORT)).id)
        assert (abandoned.get(), lingering.get()) == (before[0] + 1, before[1] + 1)
        stubborn.may_end.set()

        async def has_ended() -> bool:
            return bool(lingering.get() == before[1])

        await eventually(has_ended, "the handler's end")


async def test_a_handler_that_ends_within_the_stop_timeout_is_not_abandoned(
    stage: Stage, log_lines: LogLines
) -> None:
    async def tidies_up(_: Context) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
        return "tidy"

    async with a_worker(stage, {"*": tidies_up}, WorkerOptions(timeout_s=10)):
        task = await finished(stage, (await stage.created(timeout=SHORT)).id)
    assert (task.status, task.result) == (Status.SUCCEEDED, '"tidy"')
    assert log_lines.named("handler.abandoned") == []


@pytest.mark.parametrize(
    ("raised", "status", "error_type", "reason"),
    [
        (ConnectionError("closed"), Status.FAILED, "Timeout", "timeout"),
        (PermanentFailure("gone"), Status.FAILED, "PermanentFailure", "permanent"),
        (RetryLater("soon"), Status.FAILED, "RetryLater", "retry_requested"),
    ],
)
async def test_what_a_handler_raises_when_its_time_is_over(
    stage: Stage, raised: Exception, status: Status, error_type: str, reason: str
) -> None:
    async def raises(_: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise raised from None

    async with a_worker(stage, {"*": raises}):
        made = await stage.created(timeout=SHORT)
        task = await finished(stage, made.id)
    assert (task.status, orjson.loads(task.error or "")["type"]) == (status, error_type)
    assert (await stage.service.reading.events(made.id))[-1].reason == reason


async def test_a_stopping_worker_does_not_wait_for_handlers_that_ignore_it(
    stage: Stage, log_lines: LogLines
) -> None:
    stubborn = Stubborn()
    async with a_worker(stage, {"*": stubborn}, IMPATIENT) as running:
        made = await stage.created()
        await stubborn.began.wait()
        running.stop.set()
        async with asyncio.timeout(10):
            await running.ended
    task = await stage.task(made.id)
    assert (task.status, task.attempt) == (Status.NEW, 0)
    assert (await stage.event_types(made.id))[-1] == "handed_back"
    assert stubborn.cancels == 2, "when the grace time was over, and at the very end"
    assert (await line_of(log_lines, "handler.left_behind"))["task_id"] == str(made.id)
    stubborn.may_end.set()
    await line_of(log_lines, "handler.ended_late")
    await assert_safe(stage.sql)


async def test_a_worker_that_is_cancelled_does_not_wait_either(stage: Stage) -> None:
    stubborn = Stubborn()
    async with a_worker(
        stage, {"*": stubborn}, WorkerOptions(timeout_s=0.1, grace_s=60)
    ) as running:
        made = await stage.created()
        await stubborn.began.wait()
        running.ended.cancel()
        async with asyncio.timeout(10):
            await asyncio.wait([running.ended])
    assert stubborn.cancels == 1
    stubborn.may_end.set()
    assert (await stage.task(made.id)).status is Status.IN_PROGRESS, (
        "its lease is closed: rescue has it"
    )


async def test_a_lost_lease_frees_the_slots_of_handlers_that_ignore_it(stage: Stage) -> None:
    stubborn = Stubborn()
    options = WorkerOptions(slots=1, timeout_s=0.1, grace_s=0, ttl_s=0.6)
    async with a_worker(stage, {"*": stubborn}, options) as running:
        made = await stage.created()
        await stubborn.began.wait()
        lease_id = running.keeper.lease_id
        assert lease_id is not None
        await leases.close_lease(stage.database, lease_id, "expired")
        quick = await finished(stage, (await stage.created(payload={"quick": True})).id)
        assert quick.status is Status.SUCCEEDED
        assert (await stage.task(made.id)).claim_no == 1
        stubborn.may_end.set()
    assert (await in_status(stage, made.id, Status.IN_PROGRESS)).result is None


class Fatal(BaseException):
    """A `BaseException` that is an error of the process, not of the program."""

    def __str__(self) -> str:
        raise SystemExit(4)


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Fatal()])
async def test_whatever_a_handler_raises_ends_its_attempt_and_not_the_worker(
    stage: Stage, raised: BaseException
) -> None:
    async def fatal(context: Context) -> str:
        if context.payload.get("fatal"):
            raise raised
        return "well"

    async with a_worker(stage, {"*": fatal}):
        task = await finished(stage, (await stage.created(payload={"fatal": True})).id)
        assert task.status is Status.FAILED
        assert orjson.loads(task.error or "")["type"] == type(raised).__name__
        assert (await finished(stage, (await stage.created()).id)).status is Status.SUCCEEDED


PROCESS = """
import asyncio, sys, uvloop
from tests.support.stage import a_stage
from tests.support.workers import WorkerOptions, a_worker

async def main():
    began = asyncio.Event()
    async def endless(context):
        began.set()
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                print("cancelled", flush=True)
    async with a_stage(sys.argv[1]) as stage:
        async with a_worker(stage, {"*": endless}, WorkerOptions(timeout_s=0.1, grace_s=0)):
            await stage.created()
            await began.wait()
    print("stopped", flush=True)

uvloop.run(main())
"""


def test_a_process_ends_though_a_handler_never_does(stage_url: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROCESS, stage_url],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},  # noqa: TID251 - for the child
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "stopped"
    assert "pending" not in done.stderr
