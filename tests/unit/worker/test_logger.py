"""The logger that a handler gets: the process's log and the task's each have their own level."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog

from taskmill.app import Context
from taskmill.observability import logs
from taskmill.settings import DatabaseSettings, TaskLogSettings
from taskmill.settings.values import TaskLogLevel
from taskmill.storage.database import Database
from taskmill.worker.claim_log import ClaimLog
from taskmill.worker.task_log import TaskLog
from tests.support.clocks import ManualClock
from tests.support.contexts import CLAIMED, TestRuntime, a_context


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    """Give the process its own logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def logging_context(level: TaskLogLevel) -> tuple[Context, TaskLog]:
    database = Database("postgresql://nowhere/none", DatabaseSettings())
    log = TaskLog(
        database, limits=TaskLogSettings(level=level), clock=ManualClock(CLAIMED.created_at)
    )
    log._is_open = log._is_notified = True
    claim = ClaimLog(log, CLAIMED.id, CLAIMED.claim_no)
    return a_context(attempt=2, runtime=TestRuntime(claim)), log


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    assert logs.flush()
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_what_is_stored_and_what_is_written_are_two_levels() -> None:
    logs.configure(format="json", level="error", stream=(stream := io.StringIO()))
    context, log = logging_context("info")
    context.logger.debug("neither")
    context.logger.info("kept")
    context.logger.error("both", n=1)
    assert [(line.message, line.fields) for line, _ in log._waiting] == [
        ("kept", None),
        ("both", '{"n":1}'),
    ]
    [line] = written(stream)
    assert (line["event"], line["task_id"], line["claim_no"]) == ("both", str(CLAIMED.id), 3)
    assert (line["attempt"], line["n"]) == (2, 1)


def test_what_is_not_stored_is_written_all_the_same() -> None:
    logs.configure(format="json", level="debug", stream=(stream := io.StringIO()))
    context, log = logging_context("error")
    context.logger.bind(level="fine", event="odd").debug("written", task="x")
    assert not log._waiting
    [line] = written(stream)
    assert (line["task"], line["event"], line["level"]) == ("x", "odd", "fine")


async def test_the_lines_of_asynchronous_methods_are_stored_too() -> None:
    logs.configure(format="json", stream=io.StringIO())
    context, log = logging_context("info")
    await context.logger.ainfo("said %d", 5, a=1)
    assert [(line.message, line.fields) for line, _ in log._waiting] == [("said 5", '{"a":1}')]
