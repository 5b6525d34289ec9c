"""Makes and drops partitions, repairs them, and prunes what is past its retention."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from taskmill.observability.logs import get_logger
from taskmill.runtime.clock import SystemClock
from taskmill.storage import changes, partitions, progress, rejections
from taskmill.storage.database import Database

log = get_logger(__name__)

_MOST_AT_ONCE = 5000


class Housekeeping:
    """The slow duties: partitions and retention. Each round also sets the clock by PostgreSQL's."""

    def __init__(
        self,
        database: Database,
        *,
        clock: SystemClock,
        keep_tasks: timedelta,
        keep_changes: timedelta,
        keep_rejections: timedelta,
    ) -> None:
        self._database = database
        self._clock = clock
        self._keep_tasks = keep_tasks
        self._keep_changes = keep_changes
        self._keep_rejections = keep_rejections

    async def __call__(self) -> bool:
        """Do one round; True when there is more to prune at once."""
        moment = await self._database.anchor(self._clock)
        await partitions.ensure(self._database, moment)
        await partitions.repair(self._database)
        await partitions.drop_finished(self._database, moment, self._keep_tasks)
        await self._watch_partitions()
        return await self._prune(moment)

    async def _watch_partitions(self) -> None:
        attached = await partitions.attached(self._database)
        if len(attached) > partitions.MOST_ATTACHED:
            log.warning("partition.too_many", attached=len(attached), oldest=attached[0].suffix)

    async def _prune(self, moment: datetime) -> bool:
        days = self._keep_changes / timedelta(days=1)
        pruned = [
            len(await self._database.fetch("prune_changes", days, _MOST_AT_ONCE)),
            len(await self._database.fetch("prune_keys", _MOST_AT_ONCE)),
            len(await self._database.fetch("prune_leases", _MOST_AT_ONCE)),
            len(await self._database.fetch("prune_remote_leases", _MOST_AT_ONCE)),
            await progress.prune(self._database, _MOST_AT_ONCE),
            await rejections.prune(self._database, moment - self._keep_rejections, _MOST_AT_ONCE),
        ]
        return _MOST_AT_ONCE in pruned


def numbering(
    database: Database, on_numbered: Callable[[], None] | None = None
) -> Callable[[], Awaitable[bool]]:
    """Return a round that gives new change batches their positions, and calls `on_numbered` when it has."""
    number = changes.Numbering(database, on_numbered)
    return lambda: number(_MOST_AT_ONCE)
