"""Task ids are UUIDv7 (RFC 9562): their first 48 bits are the creation time in milliseconds.

So `created_at` is the id's time, order by id is order by creation, and a time bound is an id bound.
Making ids needs a clock and randomness: see `runtime/ids.py`.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def created_at(task_id: UUID) -> datetime:
    """Return the time in the id, to the millisecond, in UTC."""
    return _moment(task_id.int >> 80)


@lru_cache(maxsize=64)  # those that are made together share their millisecond
def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def lower_bound(moment: datetime) -> UUID:
    """Return the smallest UUID whose time is not before `moment` (rounded up to the millisecond)."""
    milliseconds = -((_EPOCH - moment) // _MILLISECOND)
    return UUID(int=max(milliseconds, 0) << 80)
