"""What a process knows of its broker. It connects to nothing: whoever has a connection tells."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from taskmill.domain.system import BrokerPresence, BrokerState, IntakePresence, IntakeState
from taskmill.storage import releases
from taskmill.storage.database import Database

_MOST_KINDS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerWatch:
    """How this process sees its broker.

    `trouble` returns None while the broker is reached, else why not, in words without secrets; it is None
    itself when no broker is used. A hint holds for `hint_life`. `is_starting` tells whether it has not been there
    yet, and need not be. `intake` looks whether somebody takes messages; None where nobody can tell.
    """

    policy: str
    hint_life: timedelta
    trouble: Callable[[], str | None] | None
    is_starting: Callable[[], bool] = lambda: False
    intake: Callable[[], Awaitable[IntakeState | None]] | None = None

    def state(self) -> BrokerState:
        """Return how it is now."""
        if self.trouble is None:
            return BrokerState(presence=BrokerPresence.NONE, policy=self.policy)
        trouble = self.trouble()
        presence = BrokerPresence.OK if trouble is None else BrokerPresence.AWAY
        return BrokerState(
            presence=presence,
            policy=self.policy,
            trouble=trouble,
            is_starting=presence is BrokerPresence.AWAY and self.is_starting(),
        )

    async def intake_state(self) -> IntakeState | None:
        """Return how the intake is now, None where nobody can tell; raises nothing."""
        return None if self.intake is None else await self.intake()

    async def count_released(self, database: Database, queue: str | None = None) -> dict[str, int]:
        """Count the tasks released and not yet claimed, by queue (or in one); empty without a broker."""
        if self.trouble is None:
            return {}
        return await releases.count(database, hint_life=self.hint_life, queue=queue)


async def _no_intake() -> IntakeState:
    return IntakeState(presence=IntakePresence.NONE)


NO_BROKER: Final = BrokerWatch(
    policy="postgres", hint_life=timedelta(0), trouble=None, intake=_no_intake
)


async def find_hint_queues(database: Database) -> list[tuple[str, str]]:
    """Return at most 1,000 queues and types that hints may be of: tasks wait there, or workers serve them."""
    rows = await database.fetch("find_hint_queues", _MOST_KINDS)
    return [(row["queue"], row["type"]) for row in rows]


async def forget_releases(database: Database) -> int:
    """Have every task that waits released anew, as after the loss of all that the broker had; return how many."""
    return await releases.forget_all(database)
