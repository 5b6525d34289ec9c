"""Ends attempts of workers that pull over HTTP when they run longer than their `timeout_s`.

Taskmill's own workers stop their handlers themselves. Others may not, and one that hangs may renew its lease for
ever. Only the claim is ended here, nothing is stopped: what such a worker still sends changes nothing.
"""

import random

from taskmill.domain.lifecycle import ErrorInfo, Failed, Reason
from taskmill.domain.retry import RetryPolicy
from taskmill.observability.metrics import PULLS_TIMED_OUT
from taskmill.operations.pull_ends import decided, report_end
from taskmill.storage import claims, remote_leases
from taskmill.storage.database import Database
from taskmill.storage.remote_leases import RemoteAttempt

_MOST_AT_ONCE = 500


class TimeOut:
    """`policy` is for tasks that bring none; `name` is the worker that the history names."""

    def __init__(self, database: Database, *, policy: RetryPolicy, name: str) -> None:
        self._database = database
        self._policy = policy
        self._name = name
        self._jitter = random.Random().random  # noqa: S311 - no secret

    async def __call__(self) -> bool:
        """Do one round; True when there is more to end at once."""
        late = await remote_leases.find_timed_out(self._database, _MOST_AT_ONCE)
        if not late:
            return False
        outcomes = {claim.fence: _timed_out(claim) for claim in late}
        ends = [
            decided(claim, outcomes[claim.fence], self._policy, jitter=self._jitter())
            for claim in late
        ]
        ended = await claims.end(self._database, ends, worker=self._name)
        await remote_leases.settle(
            self._database, {claim.fence.lease_id for claim in late}, "timed out"
        )
        for claim in late:
            if how := ended.get(claim.fence.task_id):
                PULLS_TIMED_OUT.add(1)
                report_end(claim, outcomes[claim.fence], how)
        return len(late) == _MOST_AT_ONCE


def _timed_out(claim: RemoteAttempt) -> Failed:
    seconds = 0 if claim.timeout is None else claim.timeout.total_seconds()
    error = ErrorInfo(type="Timeout", message=f"the attempt ran longer than {seconds:g} s")
    return Failed(error=error, reason=Reason.TIMEOUT)
