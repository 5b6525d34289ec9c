"""Examines the whole service for `taskmill doctor` and `GET /doctor`: reads each part, and has the rules decide.

It only reads, and takes about 2 s at most whatever is stored: what takes longer, or is not allowed, is reported
as unseen. One part does not wait for another, so that a table that is locked hides no more than what is in it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from shlex import quote
from typing import Final, TypeVar

import asyncpg

from taskmill.domain.attention import Attention
from taskmill.domain.attention_process_rules import live_processes
from taskmill.domain.attention_snapshot import ProcessState
from taskmill.domain.doctor import DoctorReport, Unseen
from taskmill.domain.doctor_rules import diagnose
from taskmill.domain.doctor_snapshot import (
    AbandonedClaims,
    BrokerFacts,
    ConnectionUse,
    DoctorSnapshot,
    LeaseLength,
    LockWait,
    SchemaState,
    SnapshotHolder,
    TableState,
)
from taskmill.domain.errors import TaskmillError, Unavailable
from taskmill.operations import doctor_machine
from taskmill.operations.attention import AttentionReading
from taskmill.operations.doctor_settings import find_conflicts
from taskmill.runtime.clock import Clock, SystemClock
from taskmill.settings import Settings
from taskmill.storage import doctor, faults, migrate, processes
from taskmill.storage.database import Database
from taskmill.version import VERSION

BUDGET_S: Final = 1.8
"""How long all parts together may take; they are read side by side."""

_AWAY: Final = "the database is away"
_NO_RIGHT: Final = "this login may not see it"

T = TypeVar("T")
ExamineBroker = Callable[[], Awaitable[BrokerFacts]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Catalogue:
    """What PostgreSQL's own views show. None: unseen."""

    server: Mapping[str, str] = field(default_factory=dict)
    holders: Sequence[SnapshotHolder] | None = None
    lock_waits: Sequence[LockWait] | None = None
    connections: Sequence[ConnectionUse] | None = None
    tables: Sequence[TableState] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """What small tables show. None: unseen."""

    abandoned: Sequence[AbandonedClaims] | None = None
    leases: Sequence[LeaseLength] = ()
    processes: Sequence[ProcessState] = ()


class _Reading:
    """Reads parts until the time is up, and remembers those that could not be read."""

    def __init__(self) -> None:
        self.unseen: list[Unseen] = []
        self._deadline_s = asyncio.get_running_loop().time() + BUDGET_S

    async def part(self, what: str, reading: Awaitable[T]) -> T | None:
        """Return what was read; None if it could not be."""
        try:
            async with asyncio.timeout_at(self._deadline_s):
                return await reading
        except (TaskmillError, asyncpg.PostgresError, TimeoutError) as error:
            self.add(what, _reason(error))
        return None

    def add(self, what: str, reason: str, command: str | None = None) -> None:
        """Report that something is unseen."""
        self.unseen.append(Unseen(what=what, reason=reason, command=command))


class Doctor:
    """Examines the service as one process sees it.

    `broker` examines RabbitMQ; None where there is none, or where this process has no address of it.
    """

    def __init__(
        self,
        database: Database,
        attention: AttentionReading,
        settings: Settings,
        *,
        broker: ExamineBroker | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._attention = attention
        self._settings = settings
        self._broker = broker
        self._clock = clock or SystemClock()

    async def examine(self) -> DoctorReport:
        """Return the report. What is away, late or not allowed is in it; nothing is raised for that."""
        began_s, reading = self._clock.monotonic(), _Reading()
        async with asyncio.TaskGroup() as group:
            of_database = group.create_task(self._of_database(reading))
            of_broker = group.create_task(self._of_broker(reading))
        machine = doctor_machine.read(self._settings, of_database.result().server, reading.add)
        snapshot = replace(
            of_database.result(),
            broker=of_broker.result(),
            disks=machine.disks,
            files=machine.files,
        )
        return DoctorReport(
            at=self._clock.now(),
            took_s=self._clock.monotonic() - began_s,
            version=VERSION,
            needed_migration=migrate.head(),
            migration=None if snapshot.schema is None else snapshot.schema.applied,
            postgres=snapshot.server.get("server_version"),
            rabbitmq=None if snapshot.broker is None else snapshot.broker.version,
            versions={version: len(names) for version, names in snapshot.versions.items()},
            diagnoses=diagnose(snapshot),
            unseen=reading.unseen,
        )

    async def _of_database(self, reading: _Reading) -> DoctorSnapshot:
        """Return what PostgreSQL knows; its schema decides what else can be read."""
        try:
            async with asyncio.timeout(BUDGET_S / 2):
                schema = await self._schema()
        except (Unavailable, TimeoutError) as error:
            reading.add("the database", _AWAY)
            return DoctorSnapshot(away=faults.in_words(error.__cause__ or error))
        except asyncpg.PostgresError as error:
            schema = None
            reading.add("the schema", _reason(error))
        is_ours = schema is not None and schema.trouble is None
        if not is_ours:
            reason = _NO_RIGHT if schema is None else "the schema is another one"
            reading.add("what the tables have", reason)
        async with asyncio.TaskGroup() as group:
            catalogue = group.create_task(self._catalogue(reading))
            rows = group.create_task(self._rows(reading, is_ours=is_ours))
            attention = group.create_task(self._notices(reading, is_ours=is_ours))
        return self._snapshot(schema, catalogue.result(), rows.result(), attention.result())

    def _snapshot(
        self,
        schema: SchemaState | None,
        catalogue: _Catalogue,
        rows: _Rows,
        attention: Attention | None,
    ) -> DoctorSnapshot:
        live = rows.processes
        if attention is not None:
            live = live_processes(live, attention.at)
        return DoctorSnapshot(
            schema=schema,
            server=catalogue.server,
            holders=catalogue.holders,
            lock_waits=catalogue.lock_waits,
            connections=catalogue.connections,
            tables=catalogue.tables,
            abandoned=rows.abandoned,
            versions=_by_version(live),
            attention=attention,
            conflicts=find_conflicts(
                self._settings,
                server=catalogue.server,
                leases=rows.leases,
                connections=catalogue.connections or (),
                processes=len(live),
            ),
        )

    async def _schema(self) -> SchemaState:
        async with self._database.hot() as connection:
            schema = await migrate.schema_of(connection)
        return SchemaState(
            applied=schema.applied,
            trouble=migrate.trouble_of(schema),
            is_ahead=migrate.too_new(schema.applied, migrate.head()) is not None,
        )

    async def _catalogue(self, reading: _Reading) -> _Catalogue:
        database, part = self._database, reading.part
        if login := await part("sessions", doctor.login_with_hidden_sessions(database)):
            reading.add(
                "snapshots of other logins' sessions",
                _NO_RIGHT,
                f"GRANT pg_read_all_stats TO {login}",
            )
        return _Catalogue(
            server=await part("PostgreSQL's settings", doctor.server_settings(database)) or {},
            lock_waits=await part("waits for locks", doctor.lock_waits(database)),
            holders=await part("snapshots", doctor.snapshot_holders(database)),
            connections=await part("connections", doctor.connections(database)),
            tables=await part("dead rows of tables", doctor.table_states(database)),
        )

    async def _rows(self, reading: _Reading, *, is_ours: bool) -> _Rows:
        if not is_ours:
            return _Rows()
        database, part = self._database, reading.part
        return _Rows(
            abandoned=await part("what runs under no lease", doctor.abandoned_claims(database)),
            leases=await part("leases", doctor.lease_lengths(database)) or (),
            processes=await part("processes", processes.all_processes(database)) or (),
        )

    async def _notices(self, reading: _Reading, *, is_ours: bool) -> Attention | None:
        if not is_ours:
            return None
        return await reading.part("what needs attention", self._attention.read())

    async def _of_broker(self, reading: _Reading) -> BrokerFacts | None:
        if self._broker is None:
            return None
        facts = await reading.part("RabbitMQ", self._broker())
        if facts is None:
            return None
        if facts.trouble is not None:
            reading.add("RabbitMQ", facts.trouble)
        elif facts.is_blocked is None:
            reading.add("RabbitMQ's alarms", "this user may not publish", _ALARMS)
        if facts.unseen_queues:
            names = ", ".join(facts.unseen_queues)
            command = _QUEUES.format(vhost=quote(facts.vhost))
            reading.add(f"types of RabbitMQ's queues {names}", _NO_RIGHT, command)
        return facts


_ALARMS: Final = "rabbitmq-diagnostics alarms"
_QUEUES: Final = "rabbitmqctl list_queues -p {vhost} name type arguments"


def _by_version(live: Sequence[ProcessState]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for one in live:
        names[one.version].append(one.name)
    return dict(sorted(names.items()))


def _reason(error: BaseException) -> str:
    """Say why a part is unseen."""
    match error:
        case TimeoutError():
            return f"it took longer than {BUDGET_S:g} s"
        case asyncpg.InsufficientPrivilegeError():
            return _NO_RIGHT
        case Unavailable():
            return _AWAY
        case _:
            return faults.in_words(error)
