"""Sets up logging: for people on a terminal, JSON lines elsewhere; all libraries log to the same outputs.

One line is ``ts`` (RFC 3339, UTC), ``level``, ``event``, then what the caller and the context
(``structlog.contextvars``) add. It decides how lines look and where they go, not what is logged.
"""

import atexit
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Final, Literal, NamedTuple, TextIO, cast

import orjson
import structlog
from structlog.contextvars import STRUCTLOG_KEY_PREFIX as _BOUND
from structlog.typing import FilteringBoundLogger

from taskmill.observability import capture
from taskmill.observability.log_file import LogFile
from taskmill.observability.sink import Sink, StreamOutput

Format = Literal["auto", "console", "json"]
Level = Literal["debug", "info", "warning", "error"]
_Facts = dict[str, Any]
_Render = Callable[[str, str, _Facts, _Facts], bytes]

_QUIET = ("alembic", "asyncio", "httpcore", "httpx", "sqlalchemy", "uvicorn", "uvicorn.error")
# They log as errors what we log ourselves: that the broker is away.
_MUTE = ("aio_pika", "aiormq")
_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_AT_ONCE: Final = frozenset({"warning", "error", "critical"})
# With a log file, which has all lines, the stream has one line for each task, about its end.
_STEPS: Final = frozenset(
    {
        "task.created",
        "task.claimed",
        "task.retry_scheduled",
        "request.served",
        "emulation.began",
        "emulation.succeeded",
        "emulation.failed",
    }
)
_FIRST_ERROR = 400
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


def configure(
    *,
    format: Format = "auto",  # noqa: A002 - the word that the setting uses
    level: Level = "info",
    stream: TextIO | None = None,
    file: LogFile | None = None,
) -> None:
    """Send all logs of this process to `stream` (standard error when None), and to the file.

    If there is a file, the stream gets no steps of tasks, and of each task one line, when it has ended.

    May be called again: loggers made before follow to the new stream and format, but one that has
    logged already keeps its level.
    """
    out = stream or sys.stderr
    is_terminal = out.isatty()
    on_console = format == "console" or (format == "auto" and is_terminal)
    render = _Console(colours=is_terminal and _colours_wanted()) if on_console else _json_line
    outputs = [_Output(Sink(StreamOutput(out)), render, is_brief=file is not None)]
    if file is not None:
        outputs.append(_Output(Sink(file), _json_line, is_brief=False))
    _target.point_at(outputs)
    _take_over(level)


def silence() -> None:
    """Drop all lines, unless `configure` was called: for commands that print everything themselves."""
    _take_over("debug")


def _take_over(level: Level) -> None:
    structlog.configure(
        processors=[],
        wrapper_class=_logger_class(level),
        logger_factory=lambda *_: _target,
        cache_logger_on_first_use=True,
    )
    _take_over_stdlib()


def get_logger(name: str) -> FilteringBoundLogger:
    """Make a logger whose lines name their module; cheap, usable before `configure`."""
    return cast(FilteringBoundLogger, structlog.get_logger(module=name))


def leaves_out_reads() -> bool:
    """Whether lines about mere reads would bury what has changed: on a terminal, and in a file of limited size."""
    return any(isinstance(one.render, _Console) or one.is_brief for one in _target.outputs)


def flush(timeout_s: float = 1.0) -> bool:
    """Wait until all lines so far are written; False when one output took longer."""
    are_written = [one.sink.flush(timeout_s) for one in _target.outputs]
    return all(are_written)


class _Output(NamedTuple):
    """One place for lines, and what they look like there; a brief one gets no steps of tasks."""

    sink: Sink
    render: _Render
    is_brief: bool


class _Target:
    """Where structlog's lines go: the loggers of all modules hold this one object for good.

    Lines that come before the first `configure` are dropped.
    """

    def __init__(self) -> None:
        self.outputs: Sequence[_Output] = ()

    def point_at(self, outputs: Sequence[_Output]) -> None:
        previous, self.outputs = self.outputs, outputs
        for one in previous:
            one.sink.close()

    def close(self) -> None:
        self.point_at(())


def _logger_class(level: Level) -> type[FilteringBoundLogger]:
    """Return structlog's logger for a level, with what would be its chain of processors in one step.

    That cuts the cost of a line to a third, which matters with two lines for each request and each task.
    """
    base: Any = structlog.make_filtering_bound_logger(level)

    class Logger(base):  # type: ignore[misc]  # a class that is made at run time
        def _proxy_to_logger(self, level: str, event: str | None = None, /, **facts: Any) -> None:  # noqa: ANN401 - any fact
            _log(self, level, event or "", facts)

    for name in _COLOURS:
        if _LEVELS[name] >= _LEVELS[level]:
            setattr(Logger, name, _method(name, getattr(base, name)))
    return cast(type[FilteringBoundLogger], Logger)


def _method(level: str, structlogs: Callable[..., None]) -> Callable[..., None]:
    """Return a level's method of a logger: like structlog's own, but it passes the facts on as they are."""

    def method(self: Any, event: str, *args: Any, **facts: Any) -> None:  # noqa: ANN401 - any fact
        if args:
            structlogs(self, event, *args, **facts)
        else:
            _log(self, level, event, facts)

    return method


def _log(logger: Any, level: str, event: str, facts: _Facts) -> None:  # noqa: ANN401 - a class that is made at run time
    for variable, value in copy_context().items():
        if value is not ... and variable.name.startswith(_BOUND):
            facts.setdefault(variable.name[len(_BOUND) :], value)
    exc_info = facts.pop("exc_info", None)
    if exc_info:
        facts["exception"] = traceback_text(exc_info)
    target: _Target = logger._logger  # noqa: SLF001 - structlog's name for what lines are handed to
    for sink, render, is_brief in target.outputs:
        if is_brief and event in _STEPS and not _is_refusal(event, facts):
            continue
        line = render(level, event, logger._context, facts)  # noqa: SLF001 - as above
        if level in _AT_ONCE:
            sink.write_now(line)
        else:
            sink.write(line)


def _is_refusal(event: str, facts: _Facts) -> bool:
    return event == "request.served" and facts.get("status", 0) >= _FIRST_ERROR


def traceback_text(exc_info: object) -> str:
    """Return an exception (as `exc_info` has it) with its traceback; empty when there is none."""
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    return "".join(traceback.format_exception(error)).rstrip() if error else ""


def _json_line(level: str, event: str, context: _Facts, facts: _Facts) -> bytes:
    line = {"ts": _timestamp(), "level": level, "event": event, **context, **facts}
    try:
        return orjson.dumps(line, default=_text, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate, a key that is no string, an integer above 64 bits
        text = json.dumps(line, default=_text, skipkeys=True, ensure_ascii=False)
        return text.encode(errors="replace") + b"\n"


def _text(value: object) -> str:
    """Return a value as text; a failing `__str__` must not fail the caller."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - the object of any caller
        return f"<{type(value).__name__} that can't be shown: {type(error).__name__}>"


class _LastMoment:
    """The millisecond formatted last, which many lines share; one tuple, so that threads can't mix."""

    formatted = (-1, "")


def _timestamp() -> str:
    moment = int(time.time() * 1000)  # noqa: TID251 - a line has this machine's time, also when no Clock exists
    last, text = _LastMoment.formatted
    if last != moment:
        second, millisecond = divmod(moment, 1000)
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)) + f"{millisecond:03d}Z"
        _LastMoment.formatted = (moment, text)
    return text


class _Console:
    """Renders a line for people: local time, level, event, then ``name=value``."""

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, level: str, event: str, context: _Facts, facts: _Facts) -> bytes:
        facts = {**context, **facts}
        now = time.time()  # noqa: TID251 - as in _timestamp
        clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
        exception = facts.pop("exception", None)
        facts.pop("module", None)
        what = _printable(str(event))
        parts = [
            self._painted(clock, "2"),
            self._painted(f"{level:<7}", _COLOURS.get(level, "0")),
            self._painted(f"{what:<16}" if facts else what, "1"),
            *(f"{self._painted(f'{name}=', '36')}{_value(value)}" for name, value in facts.items()),
        ]
        text = " ".join(parts) + (f"\n{exception}" if exception else "") + "\n"
        return text.encode(errors="backslashreplace")

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = _text(value)
    return text if text and text.isprintable() and " " not in text else repr(text)


def _printable(text: str) -> str:
    """Keep a message on its line, and its control characters away from the terminal."""
    return text if text.isprintable() else repr(text)[1:-1]


def _colours_wanted() -> bool:
    environment = os.environ  # noqa: TID251 - a convention of all programs (no-color.org), no setting
    return not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


class _ToStructlog(logging.Handler):
    """Passes what libraries log to the same output."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if capture.is_for_listeners_only(record):
                return
            fields: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
            get_logger(record.name).log(record.levelno, record.getMessage(), **fields)
        except Exception:  # noqa: BLE001 - a log line that can't be made must not end its caller
            self.handleError(record)


def _take_over_stdlib() -> None:
    """Route libraries' warnings and errors here; nothing below, and without handlers of their own."""
    logging.basicConfig(level=logging.WARNING, handlers=[_ToStructlog()], force=True)
    for name in _QUIET:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
    for name in _MUTE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    capture.attach()


_target = _Target()
atexit.register(_target.close)
