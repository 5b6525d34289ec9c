"""What the doctor's rules decide by: facts of one moment. A part that could not be read is None."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from uuid import UUID

from taskmill.domain.attention import Attention

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaState:
    """The newest migration that the database has, and what is wrong with it for this program, if anything.

    With `is_ahead` this program does not have that migration.
    """

    applied: str | None
    trouble: str | None
    is_ahead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHolder:
    """Who has an old snapshot: a session, a replication slot or a prepared transaction; `name` is its pid or name.

    `held_s` is for how long, None for a slot; `xmin_age` is how many transactions have begun since.
    """

    kind: str
    name: str
    login: str | None
    application: str | None
    state: str | None
    held_s: float | None
    xmin_age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockWait:
    """A session that waits for a lock, on what, for how long, and the sessions that it waits for.

    A prepared transaction is 0 among these.
    """

    pid: int
    on: str
    waited_s: float
    application: str | None
    blockers: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """A table that all programs use much: its rows and dead rows as PostgreSQL estimates them, and its pages.

    `pages` of 8 KiB include those of its indexes; `rows` were counted with them, by the latest vacuum.
    `vacuumed_s` is how long ago that was, None for never; `unvacuumed_s` for how long there was none, since the
    server started at most.
    """

    name: str
    live: int
    dead: int
    rows: int
    pages: int
    vacuumed_s: float | None
    unvacuumed_s: float
    has_autovacuum: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionUse:
    """How many connections there are of those that the server, a database or a login may have."""

    scope: str
    name: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedClaims:
    """Tasks that run under a lease that is closed, or that is not there, for so long."""

    lease_id: UUID
    worker: str | None
    tasks: int
    closed_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLength:
    """How long leases of a worker live: it has its own setting."""

    worker: str
    ttl_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskState:
    """A file system, and what of ours is on it."""

    holds: str
    path: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUse:
    """How many files and sockets this process has open, and may have.

    An API raises its limit to the `highest`, and accepts so many `connections`.
    """

    used: int
    limit: int
    highest: int
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTrouble:
    """A queue at the broker that is not as the program declares it, in the broker's words."""

    name: str
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """What the broker shows: its version, whether it blocks publishers, and queues that are not as they should be.

    `trouble` is why it can't be reached, without secrets; then nothing else is known. `is_blocked` is None where
    this user may not publish. `unseen_queues` are those that this user may not declare. `vhost` is where all are.
    """

    trouble: str | None = None
    version: str | None = None
    is_blocked: bool | None = None
    queues: Sequence[QueueTrouble] = ()
    unseen_queues: Sequence[str] = ()
    vhost: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingConflict:
    """Settings that contradict each other, or what the service promises."""

    names: Sequence[str]
    sentence: str
    command: str
    is_trouble: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorSnapshot:
    """All facts. What is None could not be read, and is reported as unseen.

    `away` is why the database can't be reached. `server` has some of PostgreSQL's own settings.
    """

    away: str | None = None
    schema: SchemaState | None = None
    server: Mapping[str, str] = field(default_factory=lambda: _NONE)
    holders: Sequence[SnapshotHolder] | None = None
    lock_waits: Sequence[LockWait] | None = None
    connections: Sequence[ConnectionUse] | None = None
    tables: Sequence[TableState] | None = None
    abandoned: Sequence[AbandonedClaims] | None = None
    disks: Sequence[DiskState] = ()
    files: FileUse | None = None
    broker: BrokerFacts | None = None
    conflicts: Sequence[SettingConflict] = ()
    versions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    attention: Attention | None = None
