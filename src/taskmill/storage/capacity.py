"""What the live workers serve, according to their leases."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from taskmill.storage.database import Database

_ALL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many live workers serve something, and their slots."""

    workers: int = 0
    slots: int = 0


class Workers:
    """The live workers with their queues, types and slots."""

    def __init__(self, rows: Collection[tuple[frozenset[str], frozenset[str], int]]) -> None:
        self._rows = rows

    @classmethod
    async def read(cls, database: Database, *, with_remote: bool = False) -> "Workers":
        """Read the leases of workers that take hints, and `with_remote` of those that pull over HTTP.

        A remote lease is one claim: those with the same name, queues and types count as one worker.
        """
        found: list[tuple[frozenset[str], frozenset[str], int]] = []
        remote: Counter[tuple[str, frozenset[str], frozenset[str]]] = Counter()
        for row in await database.fetch("list_capacity", with_remote):
            queues, types = frozenset[str](row["queues"]), frozenset[str](row["types"])
            if row["remote"]:
                remote[row["worker"], queues, types] += row["slots"]
            else:
                found.append((queues, types, row["slots"]))
        found += [(queues, types, slots) for (_, queues, types), slots in remote.items()]
        return cls(found)

    def count(self, queue: str, task_type: str) -> int:
        """Count the workers that serve tasks of this queue and type."""
        return sum(1 for _ in self._serving(queue, task_type))

    def most_alike(self, queue: str, task_type: str) -> int:
        """Return how many workers that serve this queue and type share a queue of hints, where most do."""
        alike = Counter((queues, types) for queues, types, _ in self._serving(queue, task_type))
        return max(alike.values(), default=0)

    def of_queue(self, queue: str) -> int:
        """Count the workers that serve the queue, whatever their types."""
        return sum(1 for queues, _, _ in self._rows if not queues or queue in queues)

    def _serving(
        self, queue: str, task_type: str
    ) -> Iterator[tuple[frozenset[str], frozenset[str], int]]:
        for queues, types, slots in self._rows:
            if (not queues or queue in queues) and (_ALL in types or task_type in types):
                yield queues, types, slots

    @property
    def types(self) -> frozenset[str] | None:
        """The types that any worker serves; None for all."""
        types = frozenset(kind for _, types, _ in self._rows for kind in types)
        return None if _ALL in types else types

    @property
    def served(self) -> set[tuple[frozenset[str], frozenset[str]]]:
        """The queues and types of each worker; no queues mean all, and so does the type `*`."""
        return {(queues, types) for queues, types, _ in self._rows}

    @property
    def total(self) -> Capacity:
        """All workers and their slots."""
        return Capacity(workers=len(self._rows), slots=sum(slots for _, _, slots in self._rows))
