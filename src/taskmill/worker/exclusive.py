"""Stops exclusive attempts as soon as their lease could have expired: then another worker might start them."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

from taskmill.domain.lifecycle import Interrupted, Reason
from taskmill.observability.logs import get_logger
from taskmill.runtime.waiting import alongside
from taskmill.worker.handlers import Handlers
from taskmill.worker.lease import LeaseKeeper
from taskmill.worker.pool import AttemptPool

log = get_logger(__name__)

_UNSURE: Final = Interrupted(reason=Reason.LEASE_UNSURE)
_UNSURE_CHECK_S: Final = 0.1


class ExclusiveGuard:
    """Watches the lease of one worker, and stops its exclusive attempts."""

    def __init__(
        self, handlers: Handlers, *, worker: str, keeper: LeaseKeeper, pool: AttemptPool
    ) -> None:
        self._handlers = handlers
        self._worker = worker
        self._keeper = keeper
        self._pool = pool

    def watching(self) -> AbstractAsyncContextManager[None]:
        """Watch while the block runs, if the worker has exclusive types."""
        return alongside(self._watch()) if self._handlers.has_exclusive else nullcontext()

    async def _watch(self) -> None:
        while True:
            remaining_s = self._keeper.holds_for_s
            await asyncio.sleep(remaining_s if remaining_s > 0 else _UNSURE_CHECK_S)
            if self._keeper.lease_id is None:
                self._stop_all()

    def _stop_all(self) -> None:
        """Stop what runs, including what a late response to a claim has added."""
        exclusive = [
            attempt
            for attempt in self._pool.attempts
            if attempt.is_open
            and attempt.stop_reason is None
            and self._handlers.is_exclusive(attempt.task.type)
        ]
        for attempt in exclusive:
            self._pool.stop(attempt, _UNSURE)
        if exclusive:
            log.warning("lease.unsure", worker=self._worker, tasks=len(exclusive))
