"""What the worker's own process does for a handler while it runs."""

from collections.abc import Callable
from typing import TypeAlias

from structlog.typing import FilteringBoundLogger

from taskmill.domain.task import ClaimedTask, Fence
from taskmill.worker.claim_log import ClaimLog
from taskmill.worker.logger import handler_logger
from taskmill.worker.runs import Run

Report: TypeAlias = Callable[[Fence, float, str | None], None]


class RunSurroundings:
    """Those of one run: its log, its progress, and whether it is to stop."""

    __slots__ = ("_lines", "_report", "_run")

    def __init__(self, run: Run, lines: ClaimLog, report: Report) -> None:
        self._run = run
        self._lines = lines
        self._report = report

    @property
    def is_stopping(self) -> bool:
        """Whether somebody stopped the run."""
        return self._run.stop_as is not None

    def make_logger(self, task: ClaimedTask) -> FilteringBoundLogger:
        """Make a logger whose lines are kept with the task."""
        return handler_logger(task, self._lines)

    def report(self, fence: Fence, share: float, message: str | None) -> None:
        """Hand on a report of progress."""
        self._report(fence, share, message)
