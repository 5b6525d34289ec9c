"""What a process knows about its broker. It opens no connection: callables report what others see."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from taskmill.domain.system import (
    BrokerPresence,
    BrokerQueue,
    BrokerState,
    IntakePresence,
    IntakeState,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerWatch:
    """How this process sees its broker.

    `trouble` returns None while the broker is reached, else why not, without secrets; it is None itself when no
    broker is used. `is_starting` returns whether the broker is still being started.
    `intake` checks whether the intake consumes; it is None where this process can't know. `depths` reads those of
    some queues that the broker has; it is None where this process has no connection.
    """

    policy: str
    trouble: Callable[[], str | None] | None
    is_starting: Callable[[], bool] = lambda: False
    intake: Callable[[], Awaitable[IntakeState | None]] | None = None
    depths: Callable[[Sequence[str]], Awaitable[Sequence[BrokerQueue] | None]] | None = None

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

    async def queues(self, names: Sequence[str]) -> Sequence[BrokerQueue] | None:
        """Return those of these queues that the broker has, None where it is not reached; never raises."""
        return None if self.depths is None else await self.depths(names)

    async def intake_state(self) -> IntakeState | None:
        """Return the state of the intake, None where this process can't know; never raises."""
        return None if self.intake is None else await self.intake()


async def _no_intake() -> IntakeState:
    return IntakeState(presence=IntakePresence.NONE)


NO_BROKER: Final = BrokerWatch(policy="postgres", trouble=None, intake=_no_intake)
