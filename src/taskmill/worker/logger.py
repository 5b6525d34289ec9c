"""The logger that a handler gets: its lines go to the process's log, and are stored with the task."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import structlog
from structlog.typing import FilteringBoundLogger

from taskmill.domain.task import ClaimedTask

if TYPE_CHECKING:
    # Not imported at run time: an isolated process stores no lines, and starts faster without it.
    from taskmill.worker.claim_log import ClaimLog

_NUMBERS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


def handler_logger(task: ClaimedTask, lines: "ClaimLog") -> FilteringBoundLogger:
    """Make a logger whose lines name the task, the claim and the attempt, and also go to `lines`."""
    logger: FilteringBoundLogger = structlog.get_logger("taskmill.handler")
    process = logger.bind(task_id=str(task.id), claim_no=task.claim_no, attempt=task.attempt)
    return logger_to(_Tee(process, lines))


class LineSink(Protocol):
    """Takes lines of every level."""

    def write(self, level: str, event: object, facts: Mapping[str, Any]) -> None:
        """Take one line; whatever it contains, nothing is raised."""
        ...


def logger_to(sink: LineSink) -> FilteringBoundLogger:
    """Make a logger that passes each line to `sink`."""
    return cast(FilteringBoundLogger, _Logger(sink, [], {}))


class _Tee:
    """Passes lines to the process's log and to the task's, which each have their own level."""

    __slots__ = ("_lines", "_process")

    def __init__(self, process: FilteringBoundLogger, lines: "ClaimLog") -> None:
        self._process = process
        self._lines = lines

    def write(self, level: str, event: object, facts: Mapping[str, Any]) -> None:
        """Write a line to both."""
        self._lines.write(_NUMBERS.get(level, 0), event, facts)
        # Bound instead of passed as arguments, so that a fact may be called `event` or `level`.
        bound = self._process.bind(**{k: v for k, v in facts.items() if k != "exc_info"})
        try:
            getattr(bound, level)(event, exc_info=facts.get("exc_info"))
        except Exception as error:  # noqa: BLE001 - a line that can't be written must not fail the attempt
            self._process.warning("handler.line_failed", error=type(error).__name__)


_base: Any = structlog.make_filtering_bound_logger(logging.NOTSET)


class _Logger(_base):  # type: ignore[misc]  # a class that is made at run time
    def _proxy_to_logger(self, level: str, event: object = None, /, **facts: Any) -> None:  # noqa: ANN401 - any fact
        sink: LineSink = self._logger
        sink.write(level, event, {**self._context, **facts})
