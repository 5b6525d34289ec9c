"""Names that tasks may use: cached for a while, looked up, and created one batch after the other."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Final

from taskmill.domain.errors import TaskmillError
from taskmill.runtime.clock import Clock

# After so long a name is looked up again, since it may have been removed.
_TRUSTED_S: Final = 30.0


class KnownNames(ABC):
    """Creates names that a task uses for the first time, and caches for a while which exist.

    A user's transaction that creates some, and is still open, delays nobody. To create one may still take long, as
    while a process hangs that creates another one: tasks whose names exist do not wait for that.
    """

    def __init__(self, *, clock: Clock, always: Collection[str] = ()) -> None:
        self._clock = clock
        self._always = frozenset(always)
        self._known = set(self._always)
        self._known_until = float("-inf")
        self._finding = asyncio.Lock()
        self._making = asyncio.Lock()

    def has(self, names: Collection[str]) -> bool:
        """Return whether all of these are known to exist."""
        if self._clock.monotonic() >= self._known_until and self._known != self._always:
            self._known = set(self._always)
        return self._known.issuperset(names)

    async def refused(self, names: Collection[str]) -> set[str]:
        """Create those that do not exist yet; return those that may not be created.

        Raises:
            Unavailable: the database is away.
        """
        missing = await self._not_found(names)
        if not missing:
            return set()
        async with self._making:
            # The previous holder of the lock may have created them.
            missing -= self._known
            made = await self._make(missing) if missing else set[str]()
            self._remember(made)
        return missing - made

    async def ensure(self, names: Collection[str]) -> None:
        """Create those that do not exist yet. Raises `limit_reached` when one of them may not be created."""
        if await self.refused(names):
            raise self.limit_reached()

    @abstractmethod
    def limit_reached(self) -> TaskmillError:
        """Return the error for a name that may not be created."""

    @abstractmethod
    async def _find(self, names: Collection[str]) -> set[str]:
        """Return those that exist, and perhaps others that exist."""

    @abstractmethod
    async def _make(self, names: Collection[str]) -> set[str]:
        """Create names up to the limit; return those that exist now."""

    async def _not_found(self, names: Collection[str]) -> set[str]:
        async with self._finding:
            # The previous holder of the lock may have looked them up.
            if self.has(names):
                return set()
            missing = set(names) - self._known
            found = await self._find(missing)
            self._remember(found)
        return missing - found

    def _remember(self, names: Collection[str]) -> None:
        if self._known == self._always:
            self._known_until = self._clock.monotonic() + _TRUSTED_S
        self._known.update(names)
