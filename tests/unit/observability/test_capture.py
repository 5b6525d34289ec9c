"""Capturing Python's logging: within a context, besides the process's log."""

import asyncio
import gc
import io
import logging
from collections.abc import Iterator

import orjson
import pytest
import structlog

from taskmill.observability import capture, logs


@pytest.fixture(autouse=True)
def without_listeners() -> Iterator[None]:
    """Start without listeners, and restore the process's logging."""
    root = logging.getLogger()
    handlers, level, captured_from = root.handlers[:], root.level, capture._handler.level
    capture._handler.setLevel(capture._OFF)
    yield
    structlog.reset_defaults()
    capture._handler.setLevel(captured_from)
    root.handlers[:] = handlers
    root.setLevel(level)


def _events(stream: io.StringIO) -> list[str]:
    assert logs.flush()
    return [orjson.loads(line)["event"] for line in stream.getvalue().splitlines()]


async def test_records_go_to_the_listener_of_their_context_only() -> None:
    logs.configure(format="json", stream=io.StringIO())
    capture.capture_from(logging.INFO)
    library = logging.getLogger("library")
    records: dict[str, list[str]] = {"a": [], "b": []}

    async def work(name: str) -> None:
        token = capture.begin(lambda record: records[name].append(record.getMessage()))
        await asyncio.sleep(0)
        library.info("in %s", name)
        library.debug("not wanted")
        await asyncio.to_thread(library.info, "thread of %s", name)
        capture.end(token)
        library.info("after %s", name)

    async with asyncio.TaskGroup() as group:
        for name in records:
            group.create_task(work(name))
    library.info("outside")
    assert records == {name: [f"in {name}", f"thread of {name}"] for name in records}


def test_the_processs_log_gets_what_it_always_got() -> None:
    logs.configure(format="json", level="debug", stream=(stream := io.StringIO()))
    talkative = logging.getLogger("talkative")
    talkative.setLevel(logging.DEBUG)
    capture.capture_from(logging.DEBUG)
    try:
        for logger in (logging.getLogger("plain.part"), logging.getLogger("talkative.part")):
            logger.debug("debug of %s", logger.name)
            logger.warning("warning of %s", logger.name)
    finally:
        talkative.setLevel(logging.NOTSET)
    assert _events(stream) == [
        "warning of plain.part",
        "debug of talkative.part",
        "warning of talkative.part",
    ]


def test_setting_up_logging_again_loses_no_listener() -> None:
    logs.configure(format="json", stream=io.StringIO())
    capture.capture_from(logging.INFO)
    logs.configure(format="json", stream=io.StringIO())
    records: list[str] = []
    token = capture.begin(lambda record: records.append(record.getMessage()))
    logging.getLogger("library").info("a record")
    capture.end(token)
    assert records == ["a record"]


def test_without_listeners_nothing_more_comes_through() -> None:
    logs.configure(format="json", stream=io.StringIO())
    assert logging.getLogger().level == logging.WARNING
    assert capture._handler not in logging.getLogger().handlers


async def test_what_the_event_loop_logs_of_others_is_not_captured() -> None:
    """It logs a forgotten task in whatever context collects it."""
    logs.configure(format="json", stream=io.StringIO())
    capture.capture_from(logging.INFO)
    records: list[str] = []

    async def fails() -> None:
        raise LookupError("of somebody else")

    forgotten = asyncio.get_running_loop().create_task(fails())
    await asyncio.sleep(0)
    token = capture.begin(lambda record: records.append(record.getMessage()))
    del forgotten
    gc.collect()
    logging.getLogger("library").info("own")
    capture.end(token)
    assert records == ["own"]
