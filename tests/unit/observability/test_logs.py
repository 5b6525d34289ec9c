"""The format of log lines, when they are written, and broken streams."""

import io
import logging
import os
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
import structlog

from taskmill.observability import logs
from taskmill.observability.sink import Sink, StreamOutput
from tests.support.polling import wait_until


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def quiet_afterwards() -> Iterator[None]:
    """Give the process its own logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logs.configure(format="json", stream=io.StringIO())
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    assert logs.flush()
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_has_time_level_event_and_then_the_facts() -> None:
    logs.configure(format="json", stream=(stream := io.StringIO()))

    logs.get_logger("worker").info("task.claimed", task_id=UUID(int=1), claim_no=1)

    (line,) = _lines(stream)
    assert list(line)[:3] == ["ts", "level", "event"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {
        "level": "info",
        "event": "task.claimed",
        "module": "worker",
        "task_id": str(UUID(int=1)),
        "claim_no": 1,
    }


def test_the_time_is_now_in_utc() -> None:
    logs.configure(format="json", stream=(stream := io.StringIO()))
    before = datetime.now().astimezone()  # noqa: TID251 - compared with the machine's clock
    logs.get_logger("x").info("a")
    after = datetime.now().astimezone()  # noqa: TID251 - compared with the machine's clock

    written = datetime.fromisoformat(_lines(stream)[0]["ts"])

    assert before.replace(microsecond=before.microsecond // 1000 * 1000) <= written <= after


def test_the_context_is_on_every_line() -> None:
    logs.configure(format="json", stream=(stream := io.StringIO()))
    log = logs.get_logger("x")

    with structlog.contextvars.bound_contextvars(request_id="r1"):
        log.info("inside")
    log.info("outside")

    assert [line.get("request_id") for line in _lines(stream)] == ["r1", None]


def test_lines_below_the_level_are_left_out() -> None:
    logs.configure(format="json", level="warning", stream=(stream := io.StringIO()))
    log = logs.get_logger("x")

    log.debug("a")
    log.info("b")
    log.warning("c")

    assert [line["event"] for line in _lines(stream)] == ["c"]


class Unprintable:
    """Like an ORM's object whose session has ended."""

    def __str__(self) -> str:
        raise LookupError


@pytest.mark.parametrize(
    "odd", ["\ud800", 2**70, {1: 2}, {"s": {1}}, object(), Unprintable(), {2: Unprintable()}]
)
def test_values_that_are_no_json_still_make_a_line(odd: object) -> None:
    logs.configure(format="console", stream=io.StringIO())
    logs.get_logger("x").info("odd", value=odd)
    logs.configure(format="json", stream=(stream := io.StringIO()))

    logs.get_logger("x").info("odd", value=odd)

    assert _lines(stream)[0]["event"] == "odd"


def _fail() -> None:
    raise LookupError("gone")


def test_an_exception_comes_with_its_traceback() -> None:
    logs.configure(format="json", stream=(stream := io.StringIO()))
    try:
        _fail()
    except LookupError:
        logs.get_logger("x").exception("task.failed")

    (line,) = _lines(stream)
    assert line["level"] == "error"
    assert line["exception"].endswith("LookupError: gone")
    assert "Traceback" in line["exception"]


def test_libraries_are_logged_from_warning_on() -> None:
    logs.configure(format="json", stream=(stream := io.StringIO()))

    for name in ("uvicorn.error", "sqlalchemy.engine", "alembic.runtime", "other"):
        logging.getLogger(name).info("chatter of %s", name)
        logging.getLogger(name).warning("trouble in %s", name)
    logging.getLogger("uvicorn.access").info("GET /")

    events = [line["event"] for line in _lines(stream)]
    assert events == [
        "trouble in uvicorn.error",
        "trouble in sqlalchemy.engine",
        "trouble in alembic.runtime",
        "trouble in other",
    ]


def test_a_librarys_exception_comes_with_its_traceback() -> None:
    logs.configure(format="json", stream=(stream := io.StringIO()))
    try:
        _fail()
    except LookupError:
        logging.getLogger("other").exception("broken")

    assert _lines(stream)[0]["exception"].endswith("LookupError: gone")


def test_a_logger_follows_to_the_next_stream_and_format() -> None:
    logs.configure(format="json", stream=(first := io.StringIO()))
    log = logs.get_logger("x")
    log.info("one")
    logs.configure(format="console", stream=(second := io.StringIO()))
    log.info("two")

    assert [line["event"] for line in (orjson.loads(first.getvalue()),)] == ["one"]
    logs.flush()
    assert second.getvalue().rstrip().endswith("two")


def test_auto_is_for_people_on_a_terminal_and_json_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    log = logs.get_logger("x")
    logs.configure(stream=(terminal := _Terminal()))
    log.info("task.claimed", attempt=1)
    logs.configure(stream=(pipe := io.StringIO()))
    log.info("task.claimed", attempt=1)
    logs.flush()

    assert "\x1b[1mtask.claimed" in terminal.getvalue()
    assert orjson.loads(pipe.getvalue())["attempt"] == 1


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure(stream=(terminal := _Terminal()))
    logs.get_logger("x").info("task.claimed", attempt=1, worker="a b", empty="")
    logs.flush()

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3} info    task\.claimed     attempt=1 worker='a b' empty=''\n",
        terminal.getvalue(),
    )


def test_a_console_line_cannot_be_forged() -> None:
    logs.configure(format="console", stream=(stream := io.StringIO()))

    logs.get_logger("x").info("a\nb", name="c\n12:00:00 info forged\x1b[2J")
    logs.flush()

    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


class _Pipe:
    """A pipe whose reading end the test holds."""

    def __init__(self) -> None:
        self.reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "w")

    def has_brought(self, received: list[bytes]) -> bool:
        received.append(self.read_available())
        return bool(received[-1])

    def read_available(self) -> bytes:
        os.set_blocking(self.reading, False)
        try:
            return os.read(self.reading, 1 << 20)
        except BlockingIOError:
            return b""


@pytest.fixture
def pipe() -> Iterator[_Pipe]:
    made = _Pipe()
    yield made
    made.stream.close()
    try:
        os.close(made.reading)
    except OSError:
        return  # the test has closed it


def test_lines_are_gathered_and_written_within_moments(pipe: _Pipe) -> None:
    sink = Sink(StreamOutput(pipe.stream))
    received: list[bytes] = []
    for number in range(100):
        sink.write(b"%d\n" % number)

    wait_until(lambda: pipe.has_brought(received), "a line")

    assert len(b"".join(received).splitlines()) > 1
    sink.close()
    assert b"".join([*received, pipe.read_available()]).splitlines() == [
        b"%d" % number for number in range(100)
    ]


def test_a_warning_is_written_at_once_with_all_before_it(
    pipe: _Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.observability.sink._PAUSE_S", 3600)
    sink = Sink(StreamOutput(pipe.stream))
    received: list[bytes] = []

    sink.write(b"info\n")
    sink.write_now(b"warning\n")
    wait_until(lambda: pipe.has_brought(received), "lines")

    assert b"".join(received) == b"info\nwarning\n"
    sink.close()


def test_a_full_buffer_is_written_at_once(pipe: _Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.observability.sink._PAUSE_S", 3600)
    sink = Sink(StreamOutput(pipe.stream))
    received: list[bytes] = []

    for _ in range(2001):
        sink.write(b"x\n")
    wait_until(lambda: pipe.has_brought(received), "lines")

    sink.close()


def test_a_blocked_stream_costs_lines_but_never_the_caller(pipe: _Pipe) -> None:
    sink = Sink(StreamOutput(pipe.stream))
    for _ in range(200_000):
        sink.write(b"x" * 99 + b"\n")

    assert not sink.flush(0.01)
    sink.close(0.01)

    received: list[bytes] = []
    threading.Thread(target=_drain, args=(pipe, received), daemon=True).start()
    wait_until(lambda: b"log.dropped" in b"".join(received), "the loss is logged")
    lines = b"".join(received).splitlines()
    dropped = next(orjson.loads(line) for line in lines if b"log.dropped" in line)
    assert dropped["lines"] + len(lines) - 1 == 200_000


def _drain(pipe: _Pipe, received: list[bytes]) -> None:
    os.set_blocking(pipe.reading, True)
    while chunk := os.read(pipe.reading, 1 << 16):
        received.append(chunk)


def test_a_closed_pipe_is_survived(pipe: _Pipe) -> None:
    sink = Sink(StreamOutput(pipe.stream))
    os.close(pipe.reading)

    for _ in range(3):
        sink.write_now(b"x\n")
        assert sink.flush(10)
    sink.close()


def test_a_closed_stream_is_survived() -> None:
    stream = io.StringIO()
    sink = Sink(StreamOutput(stream))
    stream.close()

    sink.write_now(b"x\n")

    assert sink.flush(10)
    sink.close()


def test_closing_the_stream_does_not_let_lines_into_another_file(pipe: _Pipe) -> None:
    sink = Sink(StreamOutput(pipe.stream))
    number = pipe.stream.fileno()
    reading, writing = os.pipe()
    pipe.stream.close()
    os.dup2(writing, number)

    sink.write_now(b"line\n")
    assert sink.flush(10)

    assert pipe.read_available() == b"line\n"
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 10)
    sink.close()
    for descriptor in (reading, writing, number):
        os.close(descriptor)


def test_what_waits_is_written_at_the_end_of_the_program() -> None:
    import subprocess  # noqa: PLC0415 - this test's alone
    import sys  # noqa: PLC0415 - this test's alone

    script = (
        "from taskmill.observability import logs\n"
        "logs.configure(format='json')\n"
        "logs.get_logger('x').info('last.words')\n"
    )
    source = str(next(path for path in sys.path if path.endswith("src")))

    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script],
        env={"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert orjson.loads(done.stderr)["event"] == "last.words"


def test_a_command_that_silences_all_lines_logs_none_of_libraries_either() -> None:
    import subprocess  # noqa: PLC0415 - this test's alone
    import sys  # noqa: PLC0415 - this test's alone

    code = """
import logging
from taskmill.observability import logs
logs.silence()
logs.get_logger("x").error("broker.lost")
logging.getLogger("aiormq").error("closed")
print("printed")
"""
    source = str(next(path for path in sys.path if path.endswith("src")))
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code],
        env={"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("printed\n", "")
