"""Contexts for handlers that a test calls itself."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import orjson
from structlog.typing import FilteringBoundLogger

from taskmill.app import Context
from taskmill.domain.task import ClaimedTask, Fence
from taskmill.worker.claim_log import ClaimLog
from taskmill.worker.logger import handler_logger, logger_to

CLAIMED: Final = ClaimedTask(
    id=UUID(int=1),
    claim_no=3,
    name="first",
    type="emulate",
    queue="default",
    payload=None,
    priority=4,
    run=1,
    attempt=1,
    max_attempts=9,
    losses=0,
    max_losses=3,
    timeout=None,
    retry=None,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


class TestRuntime:
    """Records reports; log lines go to `lines` if given, else to `logged`."""

    __test__ = False

    def __init__(self, lines: ClaimLog | None = None) -> None:
        self._lines = lines
        self.is_stopping = False
        self.reports: list[tuple[float, str | None]] = []
        self.logged: list[tuple[str, object, dict[str, Any]]] = []

    def make_logger(self, task: ClaimedTask) -> FilteringBoundLogger:
        """Make a logger whose lines go to `lines`, or are recorded."""
        return logger_to(self) if self._lines is None else handler_logger(task, self._lines)

    def write(self, level: str, event: object, facts: Mapping[str, Any]) -> None:
        """Record a line."""
        self.logged.append((level, event, dict(facts)))

    def report(self, fence: Fence, share: float, message: str | None) -> None:
        """Record a report."""
        assert fence.claim_no == CLAIMED.claim_no
        self.reports.append((share, message))


def a_context(
    payload: Mapping[str, Any] | None = None,
    *,
    attempt: int = 1,
    runtime: TestRuntime | None = None,
) -> Context:
    """The context of an attempt with this payload."""
    text = None if payload is None else orjson.dumps(payload).decode()
    task = replace(CLAIMED, attempt=attempt, payload=text)
    fence = Fence(task_id=task.id, lease_id=UUID(int=2), claim_no=task.claim_no)
    return Context(task=task, fence=fence, runtime=runtime or TestRuntime())
