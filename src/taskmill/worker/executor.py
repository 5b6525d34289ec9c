"""Runs the handler of an attempt with its log, its progress reports and its span."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from taskmill.app import Context
from taskmill.domain.lifecycle import Interrupted, Outcome, Reason
from taskmill.operations.first_claims import FirstClaims
from taskmill.operations.progress import ProgressReports
from taskmill.runtime.context_owner import ContextOwner
from taskmill.worker.attempt import Attempt
from taskmill.worker.claim_log import ClaimLog
from taskmill.worker.execution import execute
from taskmill.worker.handler_runtime import AttemptRuntime
from taskmill.worker.handlers import Handlers
from taskmill.worker.task_log import TaskLog

if TYPE_CHECKING:
    from taskmill.worker.attempt_spans import AttemptSpans

_NO_HANDLER_PAUSE: Final = timedelta(seconds=30)


class Executor(ContextOwner):
    """Executes attempts with the handlers of one worker.

    Use it as an async context manager; leaving it stores what handlers have logged and reported, if the database
    accepts that within a short time.
    """

    def __init__(
        self,
        handlers: Handlers,
        *,
        first_claims: FirstClaims,
        task_log: TaskLog,
        progress: ProgressReports,
        result_bytes: int,
        spans: "AttemptSpans | None" = None,
    ) -> None:
        super().__init__(task_log, progress)
        self._handlers = handlers
        self._first_claims = first_claims
        self._task_log = task_log
        self._progress = progress
        self._result_bytes = result_bytes
        self._spans = spans

    async def execute(self, attempt: Attempt) -> Outcome:
        """Run the handler and return the outcome; cancellation passes through."""
        if self._spans is None:
            return await self._execute(attempt)
        with self._spans.around(attempt):
            return await self._execute(attempt)

    async def _execute(self, attempt: Attempt) -> Outcome:
        handler = self._handlers.get(attempt.task.type)
        if handler is None:
            return Interrupted(reason=Reason.NO_HANDLER, after=_NO_HANDLER_PAUSE)
        refused = await self._first_claims.outcome(attempt.task)
        if refused is not None:
            return refused
        lines = ClaimLog(self._task_log, attempt.task.id, attempt.task.claim_no)
        runtime = AttemptRuntime(attempt, lines, self._progress.report)
        context = Context(task=attempt.task, fence=attempt.fence, runtime=runtime)
        with lines:
            return await execute(handler, context, result_bytes=self._result_bytes)
