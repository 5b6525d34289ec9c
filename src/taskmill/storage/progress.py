"""Progress that running tasks report; only the latest report of each is stored."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from taskmill.domain.task import Fence
from taskmill.storage import partitions
from taskmill.storage.database import Database
from taskmill.storage.statements import columns

_FIRST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Progress of a claim: a share from 0 to 1 and a text that PostgreSQL can store; either may be missing."""

    fence: Fence
    share: float | None = None
    message: str | None = None


async def store(database: Database, reports: Collection[Report]) -> set[Fence]:
    """Store these reports, at most one for each fence; return the fences that held."""
    ordered = sorted(reports, key=lambda report: report.fence.task_id)
    rows = await database.fetch("store_progress", *columns(map(_row, ordered)))
    return {
        Fence(task_id=row["task_id"], lease_id=row["lease_id"], claim_no=row["claim_no"])
        for row in rows
    }


def _row(report: Report) -> tuple[object, ...]:
    fence = report.fence
    return (fence.task_id, fence.lease_id, fence.claim_no, report.share, report.message)


async def prune(database: Database, limit: int) -> int:
    """Delete reports of tasks whose week was dropped, up to `limit` in each gap of weeks; return how many."""
    bounds = [week.bounds for week in await partitions.attached(database)]
    if not bounds:
        return 0
    ends = [_FIRST_ID, *(upper for _, upper in bounds)]
    gaps = [(end, lower) for end, (lower, _) in zip(ends, bounds, strict=False) if end < lower]
    return sum([len(await database.fetch("prune_progress", *gap, limit)) for gap in gaps])
