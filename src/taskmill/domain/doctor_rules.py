"""The rules of the doctor, for what attention does not decide; `doctor_notices` takes over what it does."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from shlex import quote
from typing import Final

from taskmill.domain.attention import Severity
from taskmill.domain.blockers import counted, span
from taskmill.domain.doctor import Diagnosis, DiagnosisKind, ordered
from taskmill.domain.doctor_notices import diagnoses_of_notices
from taskmill.domain.doctor_snapshot import (
    AbandonedClaims,
    ConnectionUse,
    DiskState,
    DoctorSnapshot,
    FileUse,
    LockWait,
    TableState,
)

# By files: in an index the names may be a stranger's.
_UPGRADE: Final = (
    "pip install 'FOLDER/taskmill-VERSION-py3-none-any.whl[server]' "
    "FOLDER/taskmill_service-VERSION-py3-none-any.whl"
)
# As PostgreSQL's deadlock_timeout, from which on log_lock_waits reports one.
_LOCK_WAIT_S: Final = 1.0
_LONG_LOCK_WAIT_S: Final = 30.0
_SCARCE: Final = 0.8
_ALMOST_NONE: Final = 0.95
# What PostgreSQL names instead of a session.
_PREPARED: Final = 0
# Rescue takes such tasks back within a second.
_ABANDONED_S: Final = 10.0
_PAGE_BYTES: Final = 8192
# Autovacuum begins at a fifth of the rows, so that many dead ones mean that it does not come, or removes nothing.
_DEAD_ROWS: Final = 50_000
_DEAD_TIMES: Final = 5
# Autovacuum comes once a minute at most, and 1,000 tasks a second leave more dead rows than that in between.
_VACUUMED_S: Final = 180.0
_HELD_S: Final = 60.0
_BLOATED_BYTES: Final = 64 * 2**20
# Rows of these tables have less than 1 KiB with their entries of indexes.
_ROW_BYTES: Final = 1024
_BLOATED_TIMES: Final = 8
_DISK_SHARES: Final = (
    (Severity.TROUBLE, 0.02, 2 * 2**30),
    (Severity.WARNING, 0.1, 20 * 2**30),
)
_MEBIBYTE: Final = 2**20
_UNKNOWN: Final = "unknown"


def diagnose(snapshot: DoctorSnapshot) -> list[Diagnosis]:
    """Return what is wrong, the worst first."""
    found = chain(
        _database(snapshot),
        _locks(snapshot),
        _connections(snapshot),
        chain.from_iterable(_disk(one) for one in snapshot.disks),
        _files(snapshot.files),
        _broker(snapshot),
        chain.from_iterable(_abandoned(one) for one in snapshot.abandoned or ()),
        diagnoses_of_notices(snapshot),
        _autovacuum(snapshot),
        chain.from_iterable(_table(one, snapshot) for one in snapshot.tables or ()),
        _settings(snapshot),
    )
    return ordered(found)


def _database(snapshot: DoctorSnapshot) -> Iterator[Diagnosis]:
    if snapshot.away is not None:
        yield Diagnosis(
            kind=DiagnosisKind.DATABASE_AWAY,
            severity=Severity.TROUBLE,
            sentence="PostgreSQL can't be reached: nothing of it can be examined.",
            evidence=[snapshot.away],
            command="pg_isready --dbname=ADDRESS",
        )
    schema = snapshot.schema
    if schema is not None and schema.trouble is not None:
        yield Diagnosis(
            kind=DiagnosisKind.SCHEMA,
            severity=Severity.TROUBLE,
            sentence="This program does not run with the schema of the database.",
            evidence=[schema.trouble],
            command=_UPGRADE if schema.is_ahead else "taskmill migrate",
        )


def _locks(snapshot: DoctorSnapshot) -> Iterator[Diagnosis]:
    waits = [one for one in snapshot.lock_waits or () if one.waited_s >= _LOCK_WAIT_S]
    if not waits:
        return
    longest = max(waits, key=lambda one: one.waited_s)
    # Whoever waits for nobody holds up the others.
    waiting = {one.pid for one in waits}
    heads = [pid for one in waits for pid in one.blockers if pid not in waiting]
    is_long = longest.waited_s >= _LONG_LOCK_WAIT_S
    head = heads[0] if heads else None
    yield Diagnosis(
        kind=DiagnosisKind.LOCK_WAIT,
        severity=Severity.TROUBLE if is_long else Severity.WARNING,
        subject=str(head) if head else "",
        sentence=_sentence_of_waits(len(waits), _span(longest.waited_s)),
        evidence=[_wait_line(one) for one in waits[:5]],
        command=_without_locks(head),
    )


def _sentence_of_waits(sessions: int, longest: str) -> str:
    if sessions == 1:
        return f"A session has waited for a lock for {longest}."
    return f"{counted(sessions, 'session')} wait for locks, the longest for {longest}."


def _without_locks(head: int | None) -> str:
    if head == _PREPARED:
        return "SELECT gid, prepared, owner FROM pg_prepared_xacts -- then ROLLBACK PREPARED 'GID'"
    return f"SELECT pg_terminate_backend({'PID' if head is None else head})"


def _wait_line(wait: LockWait) -> str:
    name = f" ({wait.application})" if wait.application else ""
    sessions = ", ".join(str(pid) for pid in wait.blockers if pid != _PREPARED)
    held = f"session {sessions or _UNKNOWN}"
    if _PREPARED in wait.blockers:
        held = "a prepared transaction" + (f" and session {sessions}" if sessions else "")
    return f"session {wait.pid}{name} has waited for {wait.on} for {_span(wait.waited_s)}, held by {held}"


def _connections(snapshot: DoctorSnapshot) -> Iterator[Diagnosis]:
    for use in snapshot.connections or ():
        if use.used >= _SCARCE * use.limit:
            yield Diagnosis(
                kind=DiagnosisKind.CONNECTIONS,
                severity=_of_share(use.used, use.limit),
                subject=use.scope,
                sentence=f"{use.used:,} of the {use.limit:,} connections that {_whose(use)} may have are in use.",
                evidence=[f"{use.scope} {use.name}: {use.used:,} of {use.limit:,}"],
                command=more_connections(use, 2 * use.limit),
            )


def _whose(use: ConnectionUse) -> str:
    return "the server" if use.scope == "server" else f"the {use.scope} {use.name}"


def more_connections(use: ConnectionUse, limit: int) -> str:
    """Return the command by which there may be more connections."""
    match use.scope:
        case "database":
            return f"ALTER DATABASE {use.name} CONNECTION LIMIT {limit}"
        case "login":
            return f"ALTER ROLE {use.name} CONNECTION LIMIT {limit}"
        case _:
            return f"ALTER SYSTEM SET max_connections = {limit} -- and restart PostgreSQL"


def _of_share(used: int, limit: int) -> Severity:
    return Severity.TROUBLE if used >= _ALMOST_NONE * limit else Severity.WARNING


def _disk(disk: DiskState) -> Iterator[Diagnosis]:
    for severity, share, most in _DISK_SHARES:
        if disk.free_bytes < min(share * disk.total_bytes, most):
            free, total = (value // _MEBIBYTE for value in (disk.free_bytes, disk.total_bytes))
            yield Diagnosis(
                kind=DiagnosisKind.DISK,
                severity=severity,
                subject=disk.holds,
                sentence=f"The disk of {disk.holds} has {free:,} MiB left of {total:,}.",
                evidence=[f"{disk.path}: {disk.free_bytes / disk.total_bytes:.1%} free"],
                command=f"du -xh --max-depth=2 {disk.path}",
            )
            return


def _files(use: FileUse | None) -> Iterator[Diagnosis]:
    if use is None:
        return
    command = "ulimit -n 65536 # LimitNOFILE=65536 of systemd"
    if use.used >= _SCARCE * use.limit:
        yield Diagnosis(
            kind=DiagnosisKind.FILES,
            severity=_of_share(use.used, use.limit),
            subject="used",
            sentence=f"This process has {use.used:,} files and sockets open of {use.limit:,}.",
            evidence=[f"open: {use.used:,}", f"limit: {use.limit:,}"],
            command=command,
        )
    if use.highest < use.connections:
        yield Diagnosis(
            kind=DiagnosisKind.FILES,
            severity=Severity.WARNING,
            subject="limit",
            sentence=f"A process may open {use.highest:,} files, its API accepts {use.connections:,} connections.",
            evidence=[f"TASKMILL_API__CONNECTIONS={use.connections}", f"limit: {use.highest:,}"],
            command=command,
        )


def _broker(snapshot: DoctorSnapshot) -> Iterator[Diagnosis]:
    broker = snapshot.broker
    if broker is None:
        return
    if broker.is_blocked:
        yield Diagnosis(
            kind=DiagnosisKind.BROKER_ALARM,
            severity=Severity.TROUBLE,
            sentence="RabbitMQ has an alarm, and blocks who publishes.",
            evidence=["a message was not confirmed; memory or disk is short"],
            command="rabbitmq-diagnostics alarms",
        )
    for queue in broker.queues:
        yield Diagnosis(
            kind=DiagnosisKind.BROKER_QUEUE,
            severity=Severity.WARNING,
            subject=queue.name,
            sentence=f"The queue {queue.name} of RabbitMQ was made with another type or other arguments.",
            evidence=[queue.trouble],
            command=f"rabbitmqctl delete_queue -p {quote(broker.vhost)} {queue.name} --if-empty",
        )


def _abandoned(claims: AbandonedClaims) -> Iterator[Diagnosis]:
    if claims.closed_s is not None and claims.closed_s < _ABANDONED_S:
        return
    since = "is not there" if claims.closed_s is None else f"ended {_span(claims.closed_s)} ago"
    yield Diagnosis(
        kind=DiagnosisKind.ABANDONED_CLAIMS,
        severity=Severity.TROUBLE,
        subject=str(claims.lease_id),
        sentence=(
            "A task runs under a lease of nobody, and nobody takes it back."
            if claims.tasks == 1
            else f"{counted(claims.tasks, 'task')} run under a lease of nobody, and nobody takes them back."
        ),
        evidence=[f"lease {claims.lease_id} of {claims.worker or _UNKNOWN} {since}"],
        command="taskmill run maintenance",
    )


def _autovacuum(snapshot: DoctorSnapshot) -> Iterator[Diagnosis]:
    off = [name for name in ("autovacuum", "track_counts") if snapshot.server.get(name) == "off"]
    if off:
        yield Diagnosis(
            kind=DiagnosisKind.AUTOVACUUM_OFF,
            severity=Severity.TROUBLE,
            subject="server",
            sentence="Autovacuum is off: tables grow, and statements get slower.",
            evidence=[f"{name} = off" for name in off],
            command="; ".join(
                (*(f"ALTER SYSTEM SET {name} = on" for name in off), "SELECT pg_reload_conf()")
            ),
        )


def _table(table: TableState, snapshot: DoctorSnapshot) -> Iterator[Diagnosis]:
    name, vacuumed = f"taskmill.{table.name}", _vacuumed(table)
    if not table.has_autovacuum:
        yield Diagnosis(
            kind=DiagnosisKind.AUTOVACUUM_OFF,
            severity=Severity.WARNING,
            subject=table.name,
            sentence=f"Autovacuum is off for {name}.",
            evidence=[vacuumed],
            command=f"ALTER TABLE {name} RESET (autovacuum_enabled)",
        )
    if table.dead >= max(_DEAD_ROWS, _DEAD_TIMES * table.live) and _stays(table, snapshot):
        yield Diagnosis(
            kind=DiagnosisKind.DEAD_ROWS,
            severity=Severity.WARNING,
            subject=table.name,
            sentence=f"{name} has {table.dead:,} dead rows for {table.live:,} live ones: vacuum does not keep up.",
            evidence=[vacuumed, *_oldest(snapshot)],
            command=f"VACUUM (ANALYZE) {name}",
        )
    taken = table.pages * _PAGE_BYTES
    if taken >= _BLOATED_BYTES and taken >= _BLOATED_TIMES * _ROW_BYTES * max(table.rows, 0):
        yield Diagnosis(
            kind=DiagnosisKind.BLOAT,
            severity=Severity.WARNING,
            subject=table.name,
            sentence=f"{name} takes {taken // _MEBIBYTE:,} MiB for {max(table.rows, 0):,} rows.",
            evidence=[f"{table.pages:,} pages with its indexes", vacuumed],
            command=f"VACUUM (FULL) {name} -- everybody waits for its end",
        )


def _stays(table: TableState, snapshot: DoctorSnapshot) -> bool:
    """Return whether the next vacuum is late, or a snapshot has it remove nothing."""
    return table.unvacuumed_s >= _VACUUMED_S or _held_s(snapshot) >= _HELD_S


def _vacuumed(table: TableState) -> str:
    if table.vacuumed_s is None:
        return "never vacuumed"
    return f"vacuumed {_span(table.vacuumed_s)} ago"


def _oldest(snapshot: DoctorSnapshot) -> Iterator[str]:
    if (held_s := _held_s(snapshot)) >= 1:
        yield f"the oldest snapshot is {_span(held_s)} old"


def _held_s(snapshot: DoctorSnapshot) -> float:
    return max((one.held_s or 0 for one in snapshot.holders or ()), default=0)


def _settings(snapshot: DoctorSnapshot) -> Iterator[Diagnosis]:
    for conflict in snapshot.conflicts:
        yield Diagnosis(
            kind=DiagnosisKind.SETTINGS,
            severity=Severity.TROUBLE if conflict.is_trouble else Severity.WARNING,
            subject=", ".join(conflict.names),
            sentence=conflict.sentence,
            evidence=conflict.names,
            command=conflict.command,
        )


def _span(seconds: float) -> str:
    return span(timedelta(seconds=seconds))
