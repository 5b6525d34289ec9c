"""What a process knows about its broker. It opens no connection: callables report what others see."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from taskmill.domain.system import BrokerPresence, BrokerState, IntakePresence, IntakeState
from taskmill.storage import releases
from taskmill.storage.database import Database

_MOST_HINT_QUEUES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerWatch:
    """How this process sees its broker.

    `trouble` returns None while the broker is reached, else why not, without secrets; it is None itself when no
    broker is used. A hint holds for `hint_life`. `is_starting` returns whether the broker is still being started.
    `intake` checks whether the intake consumes; it is None where this process can't know.
    """

    policy: str
    hint_life: timedelta
    trouble: Callable[[], str | None] | None
    is_starting: Callable[[], bool] = lambda: False
    intake: Callable[[], Awaitable[IntakeState | None]] | None = None

    def state(self) -> BrokerState:
        """Return its present state."""
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
        """Return the state of the intake, None where this process can't know; never raises."""
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
    """Return up to 1,000 pairs of queue and type that may have hints: tasks wait there, or workers serve them."""
    rows = await database.fetch("find_hint_queues", _MOST_HINT_QUEUES)
    return [(row["queue"], row["type"]) for row in rows]


async def forget_releases(database: Database) -> int:
    """Have all waiting tasks released again, as after the broker lost its messages; return how many."""
    return await releases.unmark_all(database)
