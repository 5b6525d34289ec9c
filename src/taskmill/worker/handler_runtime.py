"""What a handler that runs in the worker's process can use: its logger, progress reports, the stop flag."""

from collections.abc import Callable
from typing import TypeAlias

from structlog.typing import FilteringBoundLogger

from taskmill.domain.task import ClaimedTask, Fence
from taskmill.worker.attempt import Attempt
from taskmill.worker.claim_log import ClaimLog
from taskmill.worker.logger import handler_logger

Report: TypeAlias = Callable[[Fence, float, str | None], None]


class AttemptRuntime:
    """The runtime of one attempt: its logger, its progress, and whether it is to stop."""

    __slots__ = ("_attempt", "_lines", "_report")

    def __init__(self, attempt: Attempt, lines: ClaimLog, report: Report) -> None:
        self._attempt = attempt
        self._lines = lines
        self._report = report

    @property
    def is_stopping(self) -> bool:
        """Whether the attempt was requested to stop."""
        return self._attempt.stop_reason is not None

    def make_logger(self, task: ClaimedTask) -> FilteringBoundLogger:
        """Make a logger whose lines are stored with the task."""
        return handler_logger(task, self._lines)

    def report(self, fence: Fence, share: float, message: str | None) -> None:
        """Pass on a progress report."""
        self._report(fence, share, message)
