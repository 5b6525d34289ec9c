"""What all faults share: the site, the random numbers, and locks for what they affect."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from tests.chaos.history import History
from tests.chaos.site import Member, Site
from tests.support.polling import eventually

# Injects a fault, undoes it, and returns whether it happened.
Fault: TypeAlias = Callable[[], Coroutine[Any, Any, bool]]

_STARTUP_S = 40.0


class Faults(Protocol):
    """Faults of one kind of thing."""

    def all(self) -> Mapping[str, Fault]:
        """Return all faults by name."""
        ...

    async def heal(self) -> None:
        """Undo what is left of them."""
        ...


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The context of faults. `members` are the processes that may be affected."""

    site: Site
    dice: random.Random
    history: History
    members: Sequence[Member]
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    @asynccontextmanager
    async def alone_with(self, name: str) -> AsyncIterator[None]:
        """Keep other faults away from a part of the site within the block."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield

    @asynccontextmanager
    async def a_member(self, *roles: str) -> AsyncIterator[Member]:
        """Choose a process that no other fault affects."""
        own = [member for member in self.members if member.role in roles]
        member = self.dice.choice((own or self.site.of(*roles)) if roles else self.members)
        async with self.alone_with(member.name):
            yield member

    async def start(self, member: Member) -> None:
        """Start a process that has ended, and wait until it is ready."""
        if not member.is_alive:
            member.start()
        # A start may fail if the database is away for long; then it is tried again.
        for _ in range(3):
            await _until_ready_or_ended(member)
            if member.is_alive:
                return
            member.start()


async def within(seconds: float, is_so: Callable[[], bool]) -> bool:
    """Return whether a condition became true in time."""

    async def probe() -> bool:
        return is_so()

    with suppress(AssertionError):
        return await eventually(probe, "the condition", timeout_s=seconds)
    return False


async def _until_ready_or_ended(member: Member) -> None:
    async def probe() -> bool:
        assert member.program is not None
        return member.program.ready_file.exists() or not member.is_alive

    with suppress(AssertionError):
        await eventually(probe, f"{member.name} to be ready", timeout_s=_STARTUP_S)
