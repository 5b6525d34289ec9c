"""Owns the handlers under way: starts them, stops them, and lets go of those that ignore being stopped.

It owns asyncio tasks as a TaskGroup does, with one difference: a handler that was told to stop, and has not
within the patience, is *abandoned*. Its attempt ends without it, its slot is free, and whatever it still does
or returns changes nothing. What outcomes mean, and how they are recorded, is not decided here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from taskmill.domain.lifecycle import Outcome
from taskmill.observability.logs import get_logger
from taskmill.observability.metrics import HANDLERS_ABANDONED, HANDLERS_LINGERING
from taskmill.worker.execution import timed_out
from taskmill.worker.finishing import Attempt
from taskmill.worker.lease import RunKey

log = get_logger(__name__)


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """An attempt under way. `stop_as` is set by whoever stops it; once it is settled, nobody stops it any more."""

    attempt: Attempt
    key: RunKey
    has_begun: bool = False
    is_settled: bool = False
    is_abandoned: bool = False
    stop_as: Outcome | None = None
    task: asyncio.Task[Any] | None = None
    timer: asyncio.TimerHandle | None = None

    def settle(self) -> None:
        """From here on its outcome is fixed."""
        self.is_settled = True
        self.cancel_timer()

    def cancel_timer(self) -> None:
        """Forget the end of its time, or of our patience."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Runs:
    """The attempts under way, until their ends are written down, and the abandoned handlers.

    `work` runs a handler and returns its outcome; `record` takes an outcome to write it down, and whoever does
    calls `recorded` when it is; `freed` is called when a run has ended, and when that is written down. Use it as
    an async context manager; leaving waits for what runs, and until all is recorded.
    """

    def __init__(
        self,
        *,
        worker: str,
        work: Callable[[Run], Awaitable[Outcome]],
        record: Callable[[Run, Outcome], Awaitable[None]],
        freed: Callable[[], None],
        patience_s: float,
    ) -> None:
        self._worker = worker
        self._work = work
        self._record = record
        self._freed = freed
        self._patience_s = patience_s
        self._under_way: dict[RunKey, Run] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._abandoned: dict[asyncio.Task[Any], Run] = {}
        self._unrecorded = 0
        self._somebody_ended = asyncio.Event()
        self.is_dismissing = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._failure: asyncio.Future[None] = self._loop.create_future()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            while kind is None and (self._tasks or self._under_way):
                # Not asyncio.wait(): it would wait for those, too, who are abandoned meanwhile.
                self._somebody_ended.clear()
                await self._somebody_ended.wait()
        finally:
            await self._dismiss()

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def running(self) -> int:
        """How many have not ended: of the others only the end is still to be written down."""
        return len(self._under_way) - self._unrecorded

    def __contains__(self, key: RunKey) -> bool:
        return key in self._under_way

    def get(self, key: RunKey) -> Run | None:
        """Return the attempt under way that runs this claim."""
        return self._under_way.get(key)

    def all(self) -> Collection[Run]:
        """Return the attempts under way."""
        return self._under_way.values()

    async def watch(self) -> None:
        """Wait for ever; raise what a handler raised that is no error of its task, such as SystemExit's kin."""
        await self._failure

    def start(self, attempt: Attempt) -> Run:
        """Run the attempt in an asyncio task of its own."""
        key = (attempt.task.id, attempt.task.claim_no)
        self._under_way[key] = run = Run(attempt=attempt, key=key)
        run.task = self._own(self.carry_out(run))
        return run

    def stop(self, run: Run, outcome: Outcome) -> None:
        """Cancel the handler; the attempt then ends with `outcome`, at the latest when the patience is over."""
        if run.is_settled or run.stop_as is not None or run.task is None:
            return
        run.stop_as = outcome
        run.cancel_timer()
        # A task that is cancelled before its first step never gets to clean up after itself.
        if run.has_begun:
            run.task.cancel()
            run.timer = self._loop.call_later(self._patience_s, self._abandon, run)

    def _own(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def carry_out(self, run: Run) -> Outcome:
        """Do one run from its first step to its last; whoever looks at a stack knows a run by this."""
        run.has_begun = True
        timeout = run.attempt.task.timeout
        if timeout is not None and run.stop_as is None:
            run.timer = self._loop.call_later(timeout.total_seconds(), self._time_out, run)
        try:
            outcome = run.stop_as or await self._work(run)
            if not run.is_abandoned:
                self._settle(run)
                await self._record(run, outcome)
        except BaseException:
            if not run.is_abandoned:
                self._free(run)
            raise
        return outcome

    def recorded(self, run: Run, error: BaseException | None = None) -> None:
        """Forget the run: the outcome is written down. Or it can't be: then all of this comes to its end."""
        if isinstance(error, Exception) and not self._failure.done():
            self._failure.set_exception(error)
        self._free(run)

    def _time_out(self, run: Run) -> None:
        self.stop(run, timed_out(run.attempt.task))

    def _abandon(self, run: Run) -> None:
        """End the attempt without its handler, which goes on but has no say any more."""
        if run.is_settled or run.task is None or run.stop_as is None:
            return
        self._let_go(run, run.task)
        self._own(self._conclude(run, run.stop_as))
        log.warning("handler.abandoned", **self._facts(run), patience_s=self._patience_s)
        HANDLERS_ABANDONED.inc()

    def _settle(self, run: Run) -> None:
        if not run.is_settled:
            self._unrecorded += 1
        run.settle()
        self._freed()

    def _let_go(self, run: Run, task: asyncio.Task[Any]) -> None:
        self._settle(run)
        run.is_abandoned = True
        self._tasks.discard(task)
        self._abandoned[task] = run
        HANDLERS_LINGERING.inc()

    async def _conclude(self, run: Run, outcome: Outcome) -> None:
        try:
            await self._record(run, outcome)
        except BaseException:
            self._free(run)
            raise

    def _free(self, run: Run) -> None:
        if run.timer is not None:
            run.cancel_timer()
        del self._under_way[run.key]
        if run.is_settled:
            self._unrecorded -= 1
        self._freed()
        self._somebody_ended.set()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._somebody_ended.set()
        error = None if task.cancelled() else task.exception()
        run = self._abandoned.pop(task, None) if self._abandoned else None
        if run is not None:
            HANDLERS_LINGERING.dec()
            dropped = "cancelled" if task.cancelled() else type(error or task.result()).__name__
            log.warning("handler.ended_late", **self._facts(run), dropped=dropped.lower())
        elif error is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _dismiss(self) -> None:
        """Cancel everybody who is left, wait as long as the patience lasts, and leave the rest behind."""
        self.is_dismissing = True
        left = {*self._tasks, *self._abandoned}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=self._patience_s)
        for run in [run for run in self._under_way.values() if not run.is_abandoned]:
            if run.task is not None and not run.task.done():
                self._let_go(run, run.task)
        for task, run in self._abandoned.items():
            log.warning("handler.left_behind", **self._facts(run))
            _take_off_the_books(task)

    def _facts(self, run: Run) -> dict[str, Any]:
        task = run.attempt.task
        return {
            "task_id": str(task.id),
            "claim_no": task.claim_no,
            "attempt": task.attempt,
            "worker": self._worker,
            "queue": task.queue,
            "type": task.type,
        }


def _take_off_the_books(task: asyncio.Task[Any]) -> None:
    """Let the event loop close without this task: it would wait for it for ever."""
    # Documented for whoever extends asyncio; nothing else tells `asyncio.run` not to wait.
    asyncio._unregister_task(task)  # noqa: SLF001 - see above
    # That it is still pending was said just now.
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - as asyncio.gather does
