"""What a worker needs from a transport."""

from typing import Protocol
from uuid import UUID

from taskmill.storage.claims import TakenTask


class Transport(Protocol):
    """Claims tasks in PostgreSQL; how it learns of them is up to it."""

    async def take(self, lease_id: UUID, limit: int) -> list[TakenTask]:
        """Claim up to `limit` due tasks under the lease; see `has_scanned` for the meaning of an empty list.

        Raises:
            Unavailable: the database is away; whether something was claimed is unknown.
        """
        ...

    @property
    def has_scanned(self) -> bool:
        """Whether the last `take` scanned all that waits, so that an empty one means that nothing is due."""
        ...

    async def wait(self) -> None:
        """Return when another `take` may find something: a task came or became due, or enough time has passed."""
        ...

    def wake(self) -> None:
        """Make a `wait` under way, or the next one, return at once."""
        ...

    def on_notification(self, payload: str) -> None:
        """Note that tasks came; `payload` is a hint of the only one, or empty."""
        ...

    def suspend(self) -> None:
        """Expect no `take` for some time: hold nothing back from other workers."""
        ...
