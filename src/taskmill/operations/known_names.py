"""Names that tasks may use: cached for a while, looked up, and created one batch after the other."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Final

from taskmill.domain.errors import TaskmillError
from taskmill.domain.quotas import Owner, Quota
from taskmill.operations.quotas import Share, exceeded, share_of
from taskmill.runtime.clock import Clock

# After so long a name is looked up again, since it may have been removed.
_TRUSTED_S: Final = 30.0
# So long an owner that has as many as it may is refused more without looking.
_FULL_S: Final = 1.0


class KnownNames(ABC):
    """Creates names that a task uses for the first time, and caches for a while which exist.

    A user's transaction that creates some, and is still open, delays nobody. To create one may still take long, as
    while a process hangs that creates another one: tasks whose names exist do not wait for that.
    """

    kind: Quota
    """What they are, for those that have an owner."""

    def __init__(self, *, clock: Clock, quota: int = 0, always: Collection[str] = ()) -> None:
        self._quota = quota
        self._clock = clock
        self._always = frozenset(always)
        self._known = set(self._always)
        self._known_until = float("-inf")
        # Until when owners are taken to have as many as they may.
        self._full_until: dict[Share, float] = {}
        self._finding = asyncio.Lock()
        self._making = asyncio.Lock()

    def has(self, names: Collection[str]) -> bool:
        """Return whether all of these are known to exist."""
        if self._clock.monotonic() >= self._known_until and self._known != self._always:
            self._known = set(self._always)
        return self._known.issuperset(names)

    async def refused(
        self, names: Collection[str], owner: Owner | None = None
    ) -> dict[str, TaskmillError]:
        """Create those that do not exist yet as those of an owner; return why others may not be created.

        Raises:
            Unavailable: the database is away.
        """
        missing = await self._not_found(names)
        if not missing:
            return {}
        share = share_of(owner, self.kind, self._quota)
        if share.most is not None and self._is_full(share):
            return dict.fromkeys(missing, exceeded(self.kind, share.most))
        async with self._making:
            # The previous holder of the lock may have created them.
            missing -= self._known
            made = await self._make(missing, share) if missing else set[str]()
            self._remember(made)
        if not (refused := missing - made):
            return {}
        return dict.fromkeys(refused, await self._reason(share))

    async def ensure(self, names: Collection[str]) -> None:
        """Create those that do not exist yet. Raises `limit_reached` when one of them may not be created."""
        for error in (await self.refused(names)).values():
            raise error

    @abstractmethod
    def limit_reached(self) -> TaskmillError:
        """Return the error for a name that may not be created."""

    @abstractmethod
    async def _find(self, names: Collection[str]) -> set[str]:
        """Return those that exist, and perhaps others that exist."""

    @abstractmethod
    async def _make(self, names: Collection[str], share: Share) -> set[str]:
        """Create names up to the limits; return those that exist now."""

    @abstractmethod
    async def _count_own(self, owner: str) -> int:
        """Return how many exist that were created for an owner."""

    async def _reason(self, share: Share) -> TaskmillError:
        """Return which limit is reached: the owner's own, or that of all."""
        owner, most = share
        if owner is None or most is None or await self._count_own(owner) < most:
            return self.limit_reached()
        self._full_until[share] = self._clock.monotonic() + _FULL_S
        return exceeded(self.kind, most)

    def _is_full(self, share: Share) -> bool:
        """Return whether an owner had no room for another one just before: who is refused often tries again."""
        return self._clock.monotonic() < self._full_until.get(share, float("-inf"))

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
