"""Names that tasks may have: remembered for a while, looked up, and made one after the other."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Final

from taskmill.domain.errors import TaskmillError
from taskmill.runtime.clock import Clock

# What was seen is looked up again after so long: it may be gone.
_TRUSTED_S: Final = 30.0


class KnownNames(ABC):
    """Makes names that a task uses for the first time, and remembers for a while which there are.

    To make one may take long, as when somebody's open transaction has just made another one: who needs none
    does not wait for that.
    """

    def __init__(self, *, clock: Clock, always: Collection[str] = ()) -> None:
        self._clock = clock
        self._always = frozenset(always)
        self._known = set(self._always)
        self._known_until = float("-inf")
        self._looking = asyncio.Lock()
        self._making = asyncio.Lock()

    def has(self, names: Collection[str]) -> bool:
        """Tell whether all of these are known to be there."""
        if self._clock.monotonic() >= self._known_until and self._known != self._always:
            self._known = set(self._always)
        return self._known.issuperset(names)

    async def refused(self, names: Collection[str]) -> set[str]:
        """Make those that are not there yet; return those that may not be made.

        Raises:
            Unavailable: the database is away.
        """
        missing = await self._not_found(names)
        if not missing:
            return set()
        async with self._making:
            # Whoever had the lock before may have made them.
            missing -= self._known
            made = await self._make(missing) if missing else set[str]()
            self._remember(made)
        return missing - made

    async def ensure(self, names: Collection[str]) -> None:
        """Make those that are not there yet. Raises `limit_reached` when one of them may not be made."""
        if await self.refused(names):
            raise self.limit_reached()

    @abstractmethod
    def limit_reached(self) -> TaskmillError:
        """Return the error for a name that may not be made."""

    @abstractmethod
    async def _find(self, names: Collection[str]) -> set[str]:
        """Return those that are there, and perhaps others that are."""

    @abstractmethod
    async def _make(self, names: Collection[str]) -> set[str]:
        """Make names as far as there is room; return those that are there now."""

    async def _not_found(self, names: Collection[str]) -> set[str]:
        async with self._looking:
            # Whoever had the lock before may have looked them up.
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
