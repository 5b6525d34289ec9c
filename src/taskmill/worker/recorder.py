"""Records the outcomes of attempts: in batches, under their fences, and again after a lost response.

A result is not dropped because of a failed connection or any other error that is not its own: it is retried until
the database accepts it, as long as the worker runs. The fence decides whether it still counts.

Settled attempts are added with `put`, and wait in queues. Their state shows when they are recorded or lost, and
`ended` returns them. There is no asyncio task, future or callback for each: a worker ends thousands a second.
"""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import EventType, Lost, Outcome, Permanent, Succeeded
from taskmill.observability.flow import ATTEMPTS_LOST, REFUSED, count_ended
from taskmill.observability.logs import get_logger
from taskmill.operations.progress import ProgressReports
from taskmill.runtime.batching import BatchQueue
from taskmill.runtime.clock import Clock
from taskmill.runtime.context_owner import ContextOwner
from taskmill.runtime.periodic import backoff_s
from taskmill.storage import faults
from taskmill.storage.claims import AttemptEnd, EndedAttempt
from taskmill.worker.attempt import Attempt
from taskmill.worker.ends import ClaimEnds, EndPolicy
from taskmill.worker.execution import describe

log = get_logger(__name__)

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 2.0
# Of each kind: together they leave half of the pool's connections to claims and all else.
_MOST_IN_FLIGHT = 2


class Recorder(ContextOwner):
    """Records outcomes. Use it as an async context manager; leaving waits until everything is recorded.

    If it is left by an error, it writes nothing more: attempts that are still `settled` then are not recorded.
    """

    def __init__(
        self,
        ends: ClaimEnds,
        policy: EndPolicy,
        *,
        worker: str,
        progress: ProgressReports,
        clock: Clock,
        batch_size: int,
    ) -> None:
        self._ends = ends
        self._policy = policy
        self._worker = worker
        self._progress = progress
        self._clock = clock
        # Bound once: the module's logger would resolve the real one for each line.
        self._log = log.bind()
        # Separate, since a batch of successes alone costs only three quarters.
        self._successes = self._queue(batch_size)
        self._others = self._queue(batch_size)
        self._reporting = asyncio.TaskGroup()
        # Successes are left before others: one that PostgreSQL refuses becomes a failure.
        super().__init__(self._others, self._successes, self._reporting)
        self._ended: list[Attempt] = []
        self._has_ended = asyncio.Event()

    def _queue(self, size: int) -> BatchQueue[Attempt]:
        return BatchQueue(
            self._record,
            name="finish",
            max_size=size,
            max_in_flight=_MOST_IN_FLIGHT,
            weigh=_weight,
        )

    def put(self, attempt: Attempt) -> None:
        """Record the outcome of a settled attempt, together with others.

        Its progress reports are stored first: afterwards the fence would refuse them.
        """
        if isinstance(attempt.outcome, Lost):
            self._give_up(attempt)
        elif self._progress.has_reports_of(attempt.fence):
            self._reporting.create_task(self._put_after_reports(attempt))
        else:
            self._put(attempt)

    async def ended(self) -> Sequence[Attempt]:
        """Wait for attempts that have become recorded or lost, and return them, each once."""
        await self._has_ended.wait()
        self._has_ended.clear()
        ended, self._ended = self._ended, []
        return ended

    async def _put_after_reports(self, attempt: Attempt) -> None:
        await self._progress.settle(attempt.fence)
        self._put(attempt)

    def _put(self, attempt: Attempt) -> None:
        is_success = isinstance(attempt.outcome, Succeeded)
        (self._successes if is_success else self._others).put(attempt)

    def _give_up(self, attempt: Attempt) -> None:
        """Drop the outcome of an attempt whose lease is closed."""
        attempt.lose()
        ATTEMPTS_LOST.add(1)
        task = attempt.task
        log.warning("lease.lost", task_id=str(task.id), claim_no=task.claim_no, worker=self._worker)
        self._end(attempt)

    async def _record(self, attempts: list[Attempt]) -> None:
        """Record outcomes; one that PostgreSQL refuses is found by bisection."""
        try:
            ended = await self._write([self._policy.end_of(attempt) for attempt in attempts])
        except Exception as error:  # noqa: BLE001 - whatever it is, smaller batches are tried
            if len(attempts) == 1:
                self._refused(attempts[0], error)
                return
            middle = len(attempts) // 2
            await self._record(attempts[:middle])
            await self._record(attempts[middle:])
        else:
            self._close(attempts, ended)

    async def _write(self, ends: list[AttemptEnd]) -> Mapping[UUID, EndedAttempt]:
        failures = 0
        while True:
            try:
                ended = await self._ends.end(ends)
                if failures and len(ended) < len(ends):
                    # An earlier try may have ended them, though its response was lost. This try has waited for its
                    # locks, so its history can be read now.
                    missing = [end.fence for end in ends if end.fence.task_id not in ended]
                    ended = {**ended, **await self._ends.find_ended(missing)}
            except (Unavailable, asyncpg.PostgresError) as error:
                if faults.is_item_fault(error):
                    raise
                failures += 1
                log.warning("finish.delayed", tasks=len(ends), failures=failures, error=str(error))
                await asyncio.sleep(
                    backoff_s(failures - 1, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S)
                )
            else:
                return ended

    def _refused(self, attempt: Attempt, error: Exception) -> None:
        """Record a failure instead: whatever the result contains, the task must end."""
        if attempt.is_replaced:
            raise error
        attempt.context.run(_report_refusal, attempt, error)
        attempt.replace(Permanent(error=describe(error)))
        self._others.put(attempt)

    def _close(self, attempts: Sequence[Attempt], ended: Mapping[UUID, EndedAttempt]) -> None:
        """Mark attempts as recorded, or as lost if the fence refused their outcomes."""
        troubles: list[Exception] = []
        for attempt in attempts:
            end = ended.get(attempt.task.id)
            if end is None:
                attempt.lose()
            else:
                attempt.record()
            self._end(attempt)
            try:
                # In the handler's context, so that this line has the same trace as the handler's lines.
                attempt.context.run(self._report, attempt, end)
            except Exception as error:  # noqa: BLE001 - raised below: the others must not suffer
                troubles.append(error)
        if troubles:
            raise ExceptionGroup("ends that could not be reported", troubles)

    def _end(self, attempt: Attempt) -> None:
        self._ended.append(attempt)
        self._has_ended.set()

    def _report(self, attempt: Attempt, ended: EndedAttempt | None) -> None:
        """Count and log how an attempt ended; None means that it was no longer ours."""
        task = attempt.task
        if ended is None:
            REFUSED.add(1)
            event, is_fine = "lease.lost", False
        else:
            count_ended(task, ended.status, ended.event_type, ended.reason, attempt.ran_s)
            event, is_fine = f"task.{ended.event_type}", ended.event_type is not EventType.FAILED
        (self._log.info if is_fine else self._log.warning)(
            event,
            task_id=task.id,
            claim_no=task.claim_no,
            attempt=task.attempt,
            worker=self._worker,
            queue=task.queue,
            type=task.type,
            duration_ms=round((self._clock.monotonic() - attempt.began_at) * 1000, 1),
            **_details(attempt.outcome, ended),
        )


def _report_refusal(attempt: Attempt, error: Exception) -> None:
    log.warning("task.unstorable", task_id=str(attempt.task.id), error=repr(error))


def _weight(attempt: Attempt) -> int:
    return len(getattr(attempt.outcome, "result", None) or "")


def _details(outcome: Outcome | None, ended: EndedAttempt | None) -> dict[str, str]:
    details = {}
    error = getattr(outcome, "error", None)
    if error is not None:
        details["error_type"] = error.type
    if ended is None:
        details["dropped"] = type(outcome).__name__.lower()
    elif ended.reason:
        details["reason"] = ended.reason
    if ended is not None and ended.run_at is not None:
        details["run_at"] = ended.run_at.isoformat(timespec="milliseconds")
    return details
