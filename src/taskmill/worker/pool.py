"""Owns the attempts of a worker and their asyncio tasks, from the claim until their outcomes are recorded.

It owns tasks like a TaskGroup, with one difference: a handler that is cancelled and does not end within the stop
timeout is *abandoned*. Its attempt is settled without it, its slot is free, and whatever it still does or returns
has no effect.

A slot is for a running handler: a settled attempt holds none, unless too many wait to be recorded.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from taskmill.domain.lifecycle import Failed, Outcome
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import HANDLERS_ABANDONED, HANDLERS_LINGERING
from taskmill.runtime.clock import Clock
from taskmill.runtime.waiting import alongside
from taskmill.worker.attempt import Attempt, AttemptState, ClaimKey
from taskmill.worker.execution import describe, once_stopped, timed_out
from taskmill.worker.executor import Executor
from taskmill.worker.options import WorkerOptions
from taskmill.worker.recorder import Recorder

log = get_logger(__name__)


class AttemptPool:
    """The attempts under way, and the abandoned handlers; `wake` is set when a slot may be free."""

    def __init__(
        self,
        executor: Executor,
        recorder: Recorder,
        *,
        options: WorkerOptions,
        clock: Clock,
        wake: asyncio.Event,
    ) -> None:
        self._executor = executor
        self._recorder = recorder
        self._options = options
        self._clock = clock
        self._wake = wake
        self._attempts: dict[ClaimKey, Attempt] = {}
        self._settled = 0
        # Running handlers, including those of abandoned attempts.
        self._tasks: dict[asyncio.Task[Any], Attempt] = {}
        self._is_cancelling = False
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run attempts within the block; leaving it waits until all that were started are recorded.

        If it is left by an error, it cancels the handlers and records nothing more.

        Raises:
            ExceptionGroup: with the reason why outcomes can't be recorded, or an error in the worker itself.
        """
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with (
            self._executor,
            self._recorder,
            alongside(self._forget_ended()),
            alongside(self._fail()),
        ):
            try:
                yield
                await self.empty()
            finally:
                await self.cancel_all()

    def __len__(self) -> int:
        return len(self._attempts)

    def __contains__(self, key: ClaimKey) -> bool:
        return key in self._attempts

    @property
    def running(self) -> int:
        """How many attempts are not settled, and so hold slots."""
        return len(self._attempts) - self._settled

    @property
    def free_slots(self) -> int:
        """How many attempts may start: settled ones hold no slot, unless too many wait to be recorded."""
        slots = self._options.slots
        return min(slots - self.running, 2 * slots - len(self._attempts))

    @property
    def taken_slots(self) -> int:
        """How many slots are taken as shown to others: by all attempts under way, settled ones included."""
        return min(len(self._attempts), self._options.slots)

    @property
    def attempts(self) -> Collection[Attempt]:
        """The attempts under way."""
        return self._attempts.values()

    def get(self, key: ClaimKey) -> Attempt | None:
        """Return the attempt of this claim if it is under way."""
        return self._attempts.get(key)

    def of_task(self, task: "asyncio.Task[Any] | None") -> Attempt | None:
        """Return the attempt whose handler runs in that asyncio task; may be called from any thread."""
        return None if task is None else self._tasks.get(task)

    async def empty(self) -> None:
        """Return when no attempt is under way."""
        await self._is_empty.wait()

    def start(self, attempt: Attempt) -> None:
        """Execute a claimed attempt in an asyncio task of its own."""
        self._attempts[attempt.key] = attempt
        self._is_empty.clear()
        # Not in a TaskGroup: it would wait for abandoned handlers, for ever.
        task = asyncio.get_running_loop().create_task(self._run(attempt), context=attempt.context)
        attempt.handler_task = task
        self._tasks[task] = attempt
        task.add_done_callback(self._on_end)

    def stop(self, attempt: Attempt, reason: Outcome) -> None:
        """Cancel the handler; the attempt ends with `reason`, after the stop timeout at the latest."""
        if not attempt.request_stop(reason):
            return
        # A task that is cancelled before its first step would never run its cleanup.
        if attempt.state is AttemptState.RUNNING and attempt.handler_task is not None:
            attempt.handler_task.cancel()
            self._set_timer(
                attempt, self._options.stop_timeout_s, lambda: self._abandon(attempt, reason)
            )

    def stop_all(self, reason: Outcome) -> None:
        """Stop all attempts under way."""
        for attempt in self._attempts.values():
            self.stop(attempt, reason)

    async def cancel_all(self) -> None:
        """Cancel all handlers, wait for the stop timeout, and detach those that do not end."""
        self._is_cancelling = True
        running = list(self._tasks)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=self._options.stop_timeout_s)
        for task, attempt in self._tasks.items():
            if task.done():
                continue
            if not attempt.is_abandoned:
                self._leave_handler(attempt)
            log.warning("handler.left_behind", **self._facts(attempt))
            _detach(task)

    async def _run(self, attempt: Attempt) -> Outcome:
        """Run one attempt until its outcome is known."""
        outcome = attempt.stop_reason
        if outcome is None:
            attempt.begin()
            if attempt.task.timeout is not None:
                seconds = attempt.task.timeout.total_seconds()
                self._set_timer(attempt, seconds, lambda: self._time_out(attempt))
            outcome = await self._outcome(attempt)
        if not attempt.is_abandoned:
            self._settle(attempt, outcome)
        return outcome

    async def _outcome(self, attempt: Attempt) -> Outcome:
        try:
            outcome = await self._executor.execute(attempt)
        except asyncio.CancelledError as error:
            if self._is_cancelling:
                raise
            # Without a reason to stop, the handler cancelled itself, or awaited something that was cancelled.
            return attempt.stop_reason or Failed(error=describe(error))
        reason = attempt.stop_reason
        return outcome if reason is None else once_stopped(outcome, reason)

    def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        attempt.settle(outcome, at=self._clock.monotonic())
        self._settled += 1
        if attempt.span is not None:
            attempt.span.end(outcome)
        self._recorder.put(attempt)
        self._wake.set()

    def _time_out(self, attempt: Attempt) -> None:
        self.stop(attempt, timed_out(attempt.task))

    def _abandon(self, attempt: Attempt, reason: Outcome) -> None:
        """Settle the attempt without its handler, which goes on without effect."""
        self._leave_handler(attempt)
        log.warning(
            "handler.abandoned", **self._facts(attempt), stop_timeout_s=self._options.stop_timeout_s
        )
        HANDLERS_ABANDONED.inc()
        self._settle(attempt, reason)

    def _leave_handler(self, attempt: Attempt) -> None:
        attempt.abandon()
        HANDLERS_LINGERING.inc()

    def _set_timer(self, attempt: Attempt, seconds: float, call: Callable[[], None]) -> None:
        attempt.timer = asyncio.get_running_loop().call_later(seconds, call)

    def _on_end(self, task: "asyncio.Task[Any]") -> None:
        """Forget a handler's task that has ended."""
        attempt = self._tasks.pop(task)
        error = None if task.cancelled() else task.exception()
        if attempt.is_abandoned:
            HANDLERS_LINGERING.dec()
            dropped = (
                "cancelled" if task.cancelled() else type(error or task.result()).__name__.lower()
            )
            log.warning("handler.ended_late", **self._facts(attempt), dropped=dropped)
            return
        if attempt.is_open:  # the worker is ending
            attempt.cancel_timer()
            if attempt.span is not None:
                attempt.span.end(None)
            self._forget(attempt)
        if error is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _forget_ended(self) -> None:
        while True:
            for attempt in await self._recorder.ended():
                self._settled -= 1
                self._forget(attempt)
            self._wake.set()

    def _forget(self, attempt: Attempt) -> None:
        del self._attempts[attempt.key]
        if not self._attempts:
            self._is_empty.set()

    async def _fail(self) -> None:
        """Wait for an error of this worker itself, not of a handler, and raise it."""
        await self._failure

    def _facts(self, attempt: Attempt) -> dict[str, Any]:
        task = attempt.task
        return {
            "task_id": str(task.id),
            "claim_no": task.claim_no,
            "attempt": task.attempt,
            "worker": self._options.name,
            "queue": task.queue,
            "type": task.type,
        }


def _detach(task: "asyncio.Task[Any]") -> None:
    """Let the event loop close without this task, for which it would wait for ever."""
    # Documented for extensions of asyncio; nothing else keeps `asyncio.run` from waiting.
    asyncio._unregister_task(task)  # noqa: SLF001 - see above
    # It was just logged that the task is still pending.
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - as asyncio.gather does
