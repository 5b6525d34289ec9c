"""What the service consists of, for who runs it: processes, database, broker. Tasks are in other reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from taskmill.domain.attention_snapshot import ProcessState
from taskmill.domain.figures import SystemFigures
from taskmill.domain.system import BrokerQueue, BrokerState, IntakeState


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSize:
    """A table with its indexes and its partitions, about as of the last vacuum or analyze of each.

    `dead` rows are old versions that wait for a vacuum. `vacuumed_at` is when it, or a partition, had one last.
    """

    name: str
    partitions: int
    size: int
    live: int
    dead: int
    vacuumed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseReport:
    """PostgreSQL: its version and when it started, the schema, the largest tables, the first days of its weeks.

    `needed` is the schema of this program; a later one is right as well.
    """

    version: str
    started_at: datetime
    schema: str | None
    needed: str
    tables: Sequence[TableSize]
    weeks: Sequence[date]


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemReport:
    """All of it, seen by one process. `figures` are None where the database did not return them in time.

    `broker_queues` are None where this process does not reach the broker.
    """

    at: datetime
    processes: Sequence[ProcessState]
    database: DatabaseReport
    figures: SystemFigures | None
    broker: BrokerState
    intake: IntakeState | None
    broker_queues: Sequence[BrokerQueue] | None

    @property
    def versions(self) -> Sequence[str]:
        """The versions of the processes that have reported lately."""
        return sorted({one.version for one in self.processes if one.is_live(self.at)})
