"""Validates the payloads of tasks that were created in SQL, at their first claim.

The contract that is current then counts. A task fails only by what PostgreSQL has at that moment; while that can't
be read it is handed back, and waits.
"""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Final

import asyncpg

from taskmill.domain.errors import InvalidInput, MalformedJson, Unavailable
from taskmill.domain.lifecycle import ErrorInfo, Interrupted, Permanent, Reason
from taskmill.domain.task import ClaimedTask
from taskmill.observability.logs import get_logger
from taskmill.operations.contracts import REFRESH_S, Contracts
from taskmill.runtime.clock import Clock
from taskmill.runtime.offload import Offload
from taskmill.storage.tasks import payload_secrets
from taskmill.wire.first_claim import payload_problem
from taskmill.wire.problems import detail_of

log = get_logger(__name__)

REFUSED: Final = "PayloadRefused"
"""The error's type, the same as when a Python handler's own check refuses a payload."""
_LONGEST_S: Final = 5.0
_PAUSE: Final = timedelta(seconds=1)


class FirstClaims:
    """The check of one process; it skips all other tasks."""

    def __init__(self, contracts: Contracts, clock: Clock) -> None:
        self._contracts = contracts
        self._clock = clock
        self._offload = Offload()
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")

    async def outcome(self, task: ClaimedTask) -> Permanent | Interrupted | None:
        """Return how the attempt ends before its handler starts; None when the handler may start.

        It takes half of the task's own timeout at most.
        """
        if not task.is_unchecked:
            return None
        limit_s = _LONGEST_S
        if task.timeout is not None:
            limit_s = min(limit_s, task.timeout.total_seconds() / 2)
        try:
            async with asyncio.timeout(limit_s):
                problem = await self._problem(task)
        except (Unavailable, asyncpg.PostgresError, TimeoutError) as fault:
            log.warning("contract.unread", task_id=str(task.id), type=task.type, error=repr(fault))
            return Interrupted(reason=Reason.CONTRACT_UNREAD, after=_PAUSE)
        if problem is None:
            return None
        error = ErrorInfo(type=REFUSED, message=detail_of(problem))
        return Permanent(error=error, reason=Reason.PAYLOAD_REFUSED)

    async def _problem(self, task: ClaimedTask) -> InvalidInput | MalformedJson | None:
        await self._refresh()
        if await self._validate(task) is None:
            return None
        # It fails for good, so not by a contract that was replaced meanwhile.
        await self._contracts.refresh()
        secrets = await payload_secrets(self._contracts.database, task.id)
        return await self._validate(task, secrets)

    async def _refresh(self) -> None:
        """Refresh the contracts unless they are newer than `REFRESH_S`."""
        async with self._reading:
            started_at = self._clock.monotonic()
            if started_at - self._read_at >= REFRESH_S:
                await self._contracts.refresh()
                self._read_at = started_at

    async def _validate(
        self, task: ClaimedTask, secrets: str | None = None
    ) -> InvalidInput | MalformedJson | None:
        contracts = self._contracts.by_type
        check = partial(payload_problem, task.type, task.payload, contracts, secrets)
        return await self._offload.run_if_large(len(task.payload or ""), check)
