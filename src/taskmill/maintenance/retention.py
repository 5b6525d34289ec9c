"""The duties that make and drop partitions, repair them, and prune what is past its retention.

Each is a duty of its own, so that one that fails keeps no other one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sized
from datetime import timedelta
from typing import TypeAlias

from taskmill.domain.jobs import RETAINED_DAYS
from taskmill.maintenance.task_pruning import PruneTasks
from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import SystemClock
from taskmill.storage import (
    audit_months,
    changes,
    partitions,
    progress,
    rejections,
    schedule_requests,
    schedules,
    week_drops,
)
from taskmill.storage.database import Database
from taskmill.storage.week_archive import WeekArchive

log = get_logger(__name__)

Duty: TypeAlias = Callable[[], Awaitable[bool | None]]
"""Does one round; True when there is more to do at once."""

_MOST_AT_ONCE = 5000


class Retention:
    """How long data is kept. With an `archive` weeks are written there before they are dropped."""

    def __init__(
        self,
        database: Database,
        *,
        clock: SystemClock,
        keep_tasks: timedelta,
        keep_changes: timedelta,
        keep_rejections: timedelta,
        keep_audit: timedelta,
        keep_fires: timedelta,
        archive: WeekArchive | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep_tasks = keep_tasks
        self._keep_changes_days = keep_changes / timedelta(days=1)
        self._keep_rejections = keep_rejections
        self._keep_audit = keep_audit
        self._keep_fires_days = keep_fires / timedelta(days=1)
        self._archive = archive

    def duties(self) -> Mapping[str, Duty]:
        """Return the duties by their names."""
        database, days = self._database, self._keep_changes_days
        return {
            "partitions": self._make_partitions,
            "drop-weeks": self._drop_weeks,
            "prune-tasks": PruneTasks(
                database, self._clock, self._keep_tasks, is_archived=self._archive is not None
            ),
            "audit-months": self._make_and_drop_months,
            "prune-changes": lambda: _is_full(database.fetch("prune_changes", days, _MOST_AT_ONCE)),
            "prune-keys": lambda: _is_full(database.fetch("prune_keys", _MOST_AT_ONCE)),
            "prune-sessions": lambda: _is_full(database.fetch("prune_sessions", _MOST_AT_ONCE)),
            "prune-leases": lambda: _is_full(database.fetch("prune_leases", _MOST_AT_ONCE)),
            "prune-remote-leases": lambda: _is_full(
                database.fetch("prune_remote_leases", _MOST_AT_ONCE)
            ),
            "prune-jobs": lambda: _is_full(
                database.fetch("prune_jobs", float(RETAINED_DAYS), _MOST_AT_ONCE)
            ),
            "prune-progress": self._prune_progress,
            "prune-rejections": self._prune_rejections,
            "prune-fires": self._prune_fires,
            "prune-schedule-requests": self._prune_schedule_requests,
        }

    async def _make_partitions(self) -> None:
        """Also set the clock by PostgreSQL's."""
        moment = await self._database.anchor(self._clock)
        await partitions.ensure(self._database, moment)
        await partitions.repair(self._database)
        attached = await partitions.attached(self._database)
        if len(attached) > partitions.MOST_ATTACHED:
            log.warning("partition.too_many", attached=len(attached), oldest=attached[0].suffix)

    async def _drop_weeks(self) -> None:
        now = self._clock.now()
        await week_drops.drop_finished(self._database, now, self._keep_tasks, self._archive)

    async def _make_and_drop_months(self) -> None:
        now = self._clock.now()
        await audit_months.ensure(self._database, now)
        await audit_months.drop_old(self._database, now, self._keep_audit)

    async def _prune_progress(self) -> bool:
        return await progress.prune(self._database, _MOST_AT_ONCE) >= _MOST_AT_ONCE

    async def _prune_fires(self) -> bool:
        pruned = await schedules.prune(self._database, self._keep_fires_days, _MOST_AT_ONCE)
        return pruned == _MOST_AT_ONCE

    async def _prune_schedule_requests(self) -> bool:
        days = self._keep_fires_days
        pruned = await schedule_requests.prune(self._database, days, _MOST_AT_ONCE)
        return pruned == _MOST_AT_ONCE

    async def _prune_rejections(self) -> bool:
        since = self._clock.now() - self._keep_rejections
        return await rejections.prune(self._database, since, _MOST_AT_ONCE) == _MOST_AT_ONCE


async def _is_full(pruned: Awaitable[Sized]) -> bool:
    return len(await pruned) == _MOST_AT_ONCE


def numbering(database: Database, on_numbered: Callable[[], None] | None = None) -> Duty:
    """Return a round that gives new change batches their positions, and calls `on_numbered` when it has."""
    number = changes.Numbering(database, on_numbered)
    return lambda: number(_MOST_AT_ONCE)
