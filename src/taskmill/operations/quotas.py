"""Checks quotas of API keys: each is about what a key itself has, so no other key's use refuses it.

Queues, types and webhooks are counted in the statements that make them, schedules just before, under a lock of
their owner, streams in this process.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from taskmill.domain.quotas import Owner, Quota, QuotaExceeded
from taskmill.observability.metrics import QUOTAS_EXCEEDED

_RETRY_AFTER_S: Final = 5.0


class Share(NamedTuple):
    """The name for which something is made, and the most that it may have; None: any number."""

    owner: str | None
    most: int | None


def share_of(owner: Owner | None, quota: Quota, usual: int) -> Share:
    """Return an owner's share, given the quota of the settings; without an owner there is no quota."""
    return Share(None, None) if owner is None else Share(owner.name, owner.most(quota, usual))


def exceeded(quota: Quota, limit: int, retry_after_s: float | None = None) -> QuotaExceeded:
    """Count a refusal, and return its error."""
    QUOTAS_EXCEEDED.add(1, (quota,))
    return QuotaExceeded(quota, limit, retry_after_s)


class StreamQuota:
    """The open streams of each owner in this process, of which each may have `usual`; 0: any number."""

    def __init__(self, usual: int) -> None:
        self._usual = usual
        self._open: Counter[str] = Counter()

    @contextmanager
    def hold(self, owner: Owner | None) -> Iterator[None]:
        """Count a stream while it is open. Raises `QuotaExceeded`."""
        if owner is None:
            yield
            return
        most = owner.most(Quota.STREAMS, self._usual)
        if most is not None and self._open[owner.name] >= most:
            # A stream whose client is gone may end any moment: it pays to try again.
            raise exceeded(Quota.STREAMS, most, _RETRY_AFTER_S)
        self._open[owner.name] += 1
        try:
            yield
        finally:
            self._open[owner.name] -= 1
            if not self._open[owner.name]:
                del self._open[owner.name]
