"""Cursors of sweeps: where one continues, how many tasks remain, and when the next of them is due."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from taskmill.api import cursors, listings
from taskmill.domain import identity
from taskmill.domain.errors import BadCursor
from taskmill.domain.sweep_plans import SweepPlan, SweepProgress
from taskmill.domain.system import Sweep, SweepStart, TaskFilter

_POINTER: Final = "/cursor"
# No request can name a later time, but cursors can be forged.
_LATEST: Final = identity.lower_bound(datetime(2101, 1, 1, tzinfo=UTC))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# Beyond what a delay and a pace lead to.
_LAST_DUE: Final = (datetime(6000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
# When the next task is due in microseconds, and how many remain; 0 stands for none.
_PROGRESS: Final = struct.Struct(">qq")


def digest(what: Sweep, wanted: TaskFilter, plan: SweepPlan) -> bytes:
    """Return the digest of a sweep: cursors of another one do not have it."""
    return listings.digest(wanted, (what, plan) if _is_planned(plan) else what)


def encode(start: SweepStart, plan: SweepPlan, progress: SweepProgress, digest: bytes) -> str:
    """Return the cursor of the next step."""
    ids = [start.after, start.until]
    if _is_planned(plan):
        ids.append(_packed(progress))
    return cursors.encode(ids[0], digest, *ids[1:])


def decode(text: str, plan: SweepPlan, digest: bytes) -> tuple[SweepStart, SweepProgress]:
    """Return where a sweep continues, and what is still to be done. Raises `BadCursor`."""
    count = 3 if _is_planned(plan) else 2
    after, until, *more = cursors.decode_all(text, digest, count=count, pointer=_POINTER)
    if until > _LATEST:
        raise BadCursor(pointer=_POINTER)
    progress = _unpacked(more[0], plan) if more else SweepProgress()
    return SweepStart(after=after, until=until), progress


def _is_planned(plan: SweepPlan) -> bool:
    return plan != SweepPlan()


def _packed(progress: SweepProgress) -> UUID:
    pace = progress.pace
    due = 0 if pace is None else (pace.first_at - _EPOCH) // _MICROSECOND
    return UUID(bytes=_PROGRESS.pack(due, progress.remaining or 0))


def _unpacked(packed: UUID, plan: SweepPlan) -> SweepProgress:
    due, remaining = _PROGRESS.unpack(packed.bytes)
    has_limit, is_paced = plan.limit is not None, plan.is_paced
    if not (
        has_limit <= remaining <= (plan.limit or 0) and is_paced <= due <= is_paced * _LAST_DUE
    ):
        raise BadCursor(pointer=_POINTER)
    first_at = _EPOCH + timedelta(microseconds=due) if is_paced else None
    return plan.continued(remaining if has_limit else None, first_at)
