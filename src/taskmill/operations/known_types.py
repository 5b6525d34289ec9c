"""Types that tasks may have: any that is served, and a limited number of others."""

from collections.abc import Collection
from typing import Final

from taskmill.domain.errors import UnservedTypeLimitReached
from taskmill.domain.quotas import Quota
from taskmill.domain.task_fields import DEFAULT_TYPE
from taskmill.operations.known_names import KnownNames
from taskmill.operations.quotas import Share
from taskmill.runtime.clock import Clock
from taskmill.storage import unserved_types as rows
from taskmill.storage.database import Database
from taskmill.wire.push import TYPE as PUSH

# Every worker runs these.
_BUILT_IN: Final = frozenset({DEFAULT_TYPE, PUSH})


class KnownTypes(KnownNames):
    """Records types that nobody serves, for longer than they are cached here (`prune_types`)."""

    kind = Quota.TYPES

    def __init__(self, database: Database, *, limit: int, clock: Clock, quota: int = 0) -> None:
        super().__init__(clock=clock, quota=quota, always=_BUILT_IN)
        self._database = database
        self._limit = limit

    def limit_reached(self) -> UnservedTypeLimitReached:
        """Return the error for a type that may not wait."""
        return UnservedTypeLimitReached(self._limit)

    async def _find(self, names: Collection[str]) -> set[str]:
        return await rows.expected(self._database, names)

    async def _make(self, names: Collection[str], share: Share) -> set[str]:
        return await rows.record(
            self._database, names, limit=self._limit, owner=share.owner, most=share.most
        )

    async def _count_own(self, owner: str) -> int:
        return await rows.count_own(self._database, owner)
