"""What a worker asks of a transport."""

from typing import Protocol
from uuid import UUID

from taskmill.storage.claims import TakenTask


class Transport(Protocol):
    """Claims tasks in PostgreSQL; what tells it of them is its own affair."""

    async def take(self, lease_id: UUID, limit: int) -> list[TakenTask]:
        """Claim up to `limit` due tasks under the lease; an empty list means that none is due.

        Raises:
            Unavailable: the database is away; whether something was claimed is unknown.
        """
        ...

    @property
    def has_scanned(self) -> bool:
        """Whether an empty `take` just now means that nothing is due: it may have had to do without a look."""
        ...

    async def wait(self) -> None:
        """Return when another `take` may be worth it: something came, became due, or enough time passed."""
        ...

    def wake(self) -> None:
        """Make a `wait` under way, or the next one, return at once."""
        ...

    def suspend(self) -> None:
        """Nothing will be taken until the next `take`: keep nothing from other workers."""
        ...
