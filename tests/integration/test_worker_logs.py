"""What handlers log is kept with their tasks: from which loggers, in which threads, whatever it is."""

import asyncio
import logging
import random
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from taskmill.app import Context, RetryLater
from taskmill.domain.lifecycle import Status
from taskmill.settings import TaskLogSettings
from taskmill.settings.values import TaskLogLevel
from taskmill.worker.emulation import Emulation, Profile
from tests.support.api import LogLines
from tests.support.builders import a_draft
from tests.support.log_lines import lines_once, stored_lines
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker, finished

Payload = Mapping[str, Any]


def look_up() -> None:
    raise LookupError("gone")


async def test_lines_of_the_contexts_logger_are_stored_and_still_go_to_the_processs_log(
    stage: Stage, log_lines: LogLines
) -> None:
    async def talks(context: Context) -> None:
        context.logger.debug("not.wanted")
        context.logger.info("report.began", pages=3, level="odd", event_id=1)
        bound = context.logger.bind(customer=4711, event="bound")
        bound.warning("paper.low", left=2)
        try:
            look_up()
        except LookupError:
            bound.exception("printer.lost")

    async with a_worker(stage, {"*": talks}):
        made = await stage.created()
        first, second, third = await lines_once(stage, made.id, 3)
    assert (first.claim_no, first.seq, first.level, first.logger) == (1, 1, "info", None)
    assert (first.message, first.fields) == (
        "report.began",
        '{"pages":3,"level":"odd","event_id":1}',
    )
    assert (second.level, second.message) == ("warning", "paper.low")
    assert second.fields == '{"customer":4711,"event":"bound","left":2}'
    assert (third.level, third.message) == ("error", "printer.lost")
    assert third.fields is not None
    assert third.fields.endswith('LookupError: gone"}')
    assert first.at <= second.at <= third.at
    [line] = log_lines.named("report.began")
    assert (line["task_id"], line["claim_no"], line["attempt"]) == (str(made.id), 1, 1)
    assert line["pages"] == 3
    assert len(log_lines.named("not.wanted")) == 1
    assert log_lines.named("bound")[-1]["exception"].endswith("LookupError: gone")


async def test_lines_of_pythons_logging_are_stored_wherever_the_handler_works(
    stage: Stage, log_lines: LogLines
) -> None:
    logger = logging.getLogger("billing.invoices")

    def in_a_thread(context: Context) -> None:
        logger.info("from a thread")
        context.logger.info("from a thread, too")

    async def in_a_task() -> None:
        logger.info("from a task")

    async def talks(context: Context) -> None:
        logger.debug("not wanted")
        logger.info("%s of %s", 1, 2, extra={"invoice": 7})
        await asyncio.to_thread(in_a_thread, context)
        async with asyncio.TaskGroup() as group:
            group.create_task(in_a_task())
        try:
            look_up()
        except LookupError:
            logger.exception("broken")

    async with a_worker(stage, {"*": talks}):
        logger.info("outside of any handler")
        made = await stage.created()
        found = await lines_once(stage, made.id, 5)
    assert [(line.message, line.logger) for line in found] == [
        ("1 of 2", "billing.invoices"),
        ("from a thread", "billing.invoices"),
        ("from a thread, too", None),
        ("from a task", "billing.invoices"),
        ("broken", "billing.invoices"),
    ]
    assert found[0].fields == '{"invoice":7}'
    assert (found[4].fields or "").endswith('LookupError: gone"}')
    # What the process's log takes from libraries has not changed.
    assert log_lines.named("1 of 2") == []
    assert log_lines.named("from a task") == []
    assert len(log_lines.named("broken")) == 1


async def test_each_line_belongs_to_the_task_that_wrote_it(stage: Stage) -> None:
    async def talks(context: Context) -> None:
        payload = context.payload
        for n in range(3):
            await asyncio.sleep(0)
            logging.getLogger("mixed").info("%s.%s", payload["n"], n)
            await asyncio.to_thread(context.logger.info, f"{payload['n']}.{n}")

    async with a_worker(stage, {"*": talks}):
        made = await stage.creation.create_all([a_draft(payload={"n": n}) for n in range(15)])
        for number, created in enumerate(made):
            found = await lines_once(stage, created.task.id, 6)
            assert [line.message for line in found] == [
                f"{number}.{n}" for n in range(3) for _ in (1, 2)
            ]
            assert [line.seq for line in found] == [1, 2, 3, 4, 5, 6]


async def test_every_claim_has_its_own_lines(stage: Stage) -> None:
    async def third_time(context: Context) -> None:
        context.logger.info("attempt", number=context.attempt)
        if context.attempt < 3:
            raise RetryLater

    async with a_worker(stage, {"*": third_time}):
        made = await stage.created(max_attempts=3)
        await finished(stage, made.id)
        found = await lines_once(stage, made.id, 3)
    assert [line.position for line in found] == [(1, 1), (2, 1), (3, 1)]


async def test_the_level_decides_what_is_stored(stage: Stage, log_lines: LogLines) -> None:
    async def talks(context: Context) -> None:
        for name in ("debug", "info", "warning", "critical"):
            getattr(context.logger, name)(f"own.{name}")
            getattr(logging.getLogger("levels"), name)("library %s", name)
        logging.getLogger("levels").log(35, "between")

    async def stored_messages(level: TaskLogLevel) -> list[str]:
        options = WorkerOptions(lines=TaskLogSettings(level=level))
        async with a_worker(stage, {"*": talks}, options):
            made = await stage.created()
            await finished(stage, made.id)
        return [line.message for line in await stored_lines(stage, made.id)]

    assert await stored_messages("error") == ["own.critical", "library critical"]
    assert await stored_messages("off") == []
    everything = await stored_messages("debug")
    assert everything[:2] == ["own.debug", "library debug"]
    assert len(everything) == 9
    assert len(log_lines.named("own.info")) == 3


class Awkward:
    """A value that handlers may log by mistake."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def keep_out_of_report(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what is logged out of the test's report: lone surrogates can't be sent from process to process."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, type(caplog.handler)):
            monkeypatch.setattr(handler, "emit", lambda _: None)


@pytest.mark.usefixtures("log_lines")
async def test_whatever_is_logged_the_handler_succeeds_and_the_line_is_stored(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_out_of_report(caplog, monkeypatch)
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]

    async def talks(context: Context) -> None:
        library = logging.getLogger("odd")
        library.info("nul \x00 and \ud800")
        library.info("extra", extra={"a": Awkward(), "b\ud800": {1: 2}, "c": 2**80, "d": b"\xff"})
        library.info("deep", extra={"deep": deep, "nul": "\x00"})
        library.log(10**12, "a level of its own", extra={"x": "y" * 100_000})
        context.logger.info("own \x00", nan=float("nan"), when=made_at, odd="\ud800")

    made_at = stage.clock.now()
    async with a_worker(stage, {"*": talks}):
        made = await stage.created()
        assert (await finished(stage, made.id)).status is Status.SUCCEEDED
        found = await lines_once(stage, made.id, 5)
    assert [line.message for line in found] == [
        "nul \\x00 and \\ud800",
        "extra",
        "deep",
        "a level of its own",
        "own \\x00",
    ]
    assert found[1].fields == (
        '{"a":"<Awkward>","b\\\\ud800":"{1: 2}","c":"1208925819614629174706176","d":"b\'\\\\xff\'"}'
    )
    assert '"nul":"\\u0000"' in (found[2].fields or "")
    assert found[3].level == "critical"
    assert len(found[3].fields or "") < 4096


async def test_lines_after_the_end_of_the_handler_are_stored_until_the_next_claim(
    stage: Stage,
) -> None:
    may_talk, has_talked = threading.Event(), threading.Event()

    def later(context: Context) -> None:
        may_talk.wait(20)
        context.logger.info("late")
        has_talked.set()

    async def talks(context: Context) -> None:
        if context.task.claim_no == 1:
            threading.Thread(target=later, args=(context,), daemon=True).start()

    async with a_worker(stage, {"*": talks}):
        made = await stage.created()
        await finished(stage, made.id)
        may_talk.set()
        [line] = await lines_once(stage, made.id, 1)
    assert line.position == (1, 1)
    assert has_talked.is_set()


@pytest.mark.parametrize(
    ("payload", "logged"),
    [
        (
            {"delay_s": 0.01, "failure_probability": 0},
            [("emulation.began", '{"delay_s":0.01}'), ("emulation.succeeded", '{"slept_s":0.01}')],
        ),
        (
            {"delay_s": 0.01, "failure_probability": 1},
            [
                ("emulation.began", '{"delay_s":0.01}'),
                ("emulation.failed", '{"failure_probability":1.0}'),
            ],
        ),
        ({"delay_s": 0, "failure_probability": 0}, []),
    ],
)
async def test_emulated_work_logs_what_it_is_to_do_and_how_it_ended(
    stage: Stage, payload: Payload, logged: list[tuple[str, str]]
) -> None:
    profile = Profile(delay_min_s=1, delay_max_s=1, failure_probability=0.0)
    emulation = Emulation(profile, random.Random(1))  # noqa: S311 - no secret
    async with a_worker(stage, {"emulate": emulation}):
        made = await stage.created(payload=payload)
        await finished(stage, made.id)
    found = await stored_lines(stage, made.id)
    assert [(line.message, line.fields) for line in found] == logged
