"""Types that tasks may wait for: any that has a contract or a live worker, and a number of others."""

import asyncio
from collections.abc import Collection
from typing import Final

from taskmill.domain.errors import UnservedTypeLimitReached
from taskmill.domain.task import DEFAULT_TYPE
from taskmill.runtime.clock import Clock
from taskmill.storage import unserved_types as rows
from taskmill.storage.database import Database
from taskmill.wire.push import TYPE as PUSH

# Every worker runs these.
_BUILT_IN: Final = frozenset({DEFAULT_TYPE, PUSH})
# A noted type is kept for longer than it is remembered here: see `forget_types`.
_TRUSTED_S: Final = 30.0


class KnownTypes:
    """Notes types that a task names for the first time, and remembers for a while which may wait."""

    def __init__(self, database: Database, *, limit: int, clock: Clock) -> None:
        self._database = database
        self._limit = limit
        self._clock = clock
        self._known: set[str] = set(_BUILT_IN)
        self._known_until = float("inf")
        self._turn = asyncio.Lock()

    def has(self, types: Collection[str]) -> bool:
        """Tell whether tasks of all of these are known to be allowed."""
        if self._clock.monotonic() >= self._known_until:
            self._known = set(_BUILT_IN)
        return self._known.issuperset(types)

    async def ensure(self, types: Collection[str]) -> None:
        """Note those that nobody is there for. Raises `UnservedTypeLimitReached`."""
        async with self._turn:
            if self.has(types):
                return
            if len(self._known) == len(_BUILT_IN):
                self._known_until = self._clock.monotonic() + _TRUSTED_S
            self._known |= await rows.expected(self._database, set(types) - self._known)
            if missing := set(types) - self._known:
                self._known |= await rows.note(self._database, missing, limit=self._limit)
                if not self._known.issuperset(missing):
                    raise UnservedTypeLimitReached(self._limit)
