"""What the doctor takes over from the rules of attention: notices about the service, with evidence and a command.

There is no second rule: `attention_rules` decides whether a notice is there, how bad it is, and what it says.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from taskmill.domain.attention import MORE, Notice, NoticeKind
from taskmill.domain.attention_texts import sentence
from taskmill.domain.blockers import span
from taskmill.domain.doctor import Diagnosis
from taskmill.domain.doctor_snapshot import DoctorSnapshot, SnapshotHolder

_MAINTENANCE: Final = "taskmill run maintenance"
_WEBHOOKS: Final = "taskmill run webhooks"
_MOST_HOLDERS: Final = 5

COMMANDS: Final[Mapping[NoticeKind, str]] = {
    NoticeKind.DATABASE_SLOW: "SELECT pid, wait_event, query_start FROM pg_stat_activity ORDER BY query_start",
    NoticeKind.DATABASE_UNWRITABLE: "taskmill health",
    NoticeKind.NO_MAINTENANCE: _MAINTENANCE,
    NoticeKind.ROLE_MISSING: "taskmill run {role}",
    NoticeKind.BROKER_AWAY: "rabbitmq-diagnostics check_running",
    NoticeKind.WORKER_SILENT: "taskmill worker list",
    NoticeKind.WEBHOOK_FAILING: "taskmill webhook enable {subject}",
    NoticeKind.DELIVERIES_LATE: _WEBHOOKS,
    NoticeKind.DELIVERIES_UNREAD: _WEBHOOKS,
    NoticeKind.DUTY_FAILING: "grep duty.failed LOG_FILE",
    NoticeKind.FEED_BEHIND: _MAINTENANCE,
    NoticeKind.FOLLOWER_BEHIND: "taskmill run relay",
    NoticeKind.PARTITIONS_MISSING: _MAINTENANCE,
    NoticeKind.OLD_SNAPSHOT: (
        "SELECT pid, age(backend_xmin) FROM pg_stat_activity WHERE backend_xmin IS NOT NULL ORDER BY 2 DESC"
    ),
    NoticeKind.PARTITIONS_MANY: "TASKMILL_RETENTION__TASKS_DAYS=DAYS taskmill run maintenance",
    NoticeKind.VERSIONS_DIFFER: "taskmill worker list --json",
    NoticeKind.CLOCK_SKEW: "chronyc makestep",
}
"""What the doctor takes over, and the command that fixes each; `{name}` stands for a fact, or the subject."""

_HOLDER_COMMANDS: Final[Mapping[str, str]] = {
    "session": "SELECT pg_terminate_backend({name})",
    "slot": "SELECT pg_drop_replication_slot('{name}')",
    "prepared": "ROLLBACK PREPARED '{name}'",
}


def diagnoses_of_notices(snapshot: DoctorSnapshot) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each notice about the service itself."""
    if snapshot.attention is None:
        return
    for notice in snapshot.attention.notices:
        if notice.kind in COMMANDS:
            more = _MORE.get(notice.kind, _nothing_more)(snapshot, notice)
            yield Diagnosis(
                kind=notice.kind,
                severity=notice.severity,
                subject=notice.subject,
                sentence=sentence(notice),
                evidence=[*_facts(notice), *more],
                command=_command(snapshot, notice, COMMANDS[notice.kind]),
                counts=notice.mark is None,
                notice=notice,
            )


def _facts(notice: Notice) -> Iterator[str]:
    if notice.mark is not None:
        yield f"{notice.mark.state} by {notice.mark.by}"
    for name, value in notice.facts.items():
        if value not in ("", None):
            yield f"{name}: {span(value) if isinstance(value, timedelta) else _shown(value)}"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _command(snapshot: DoctorSnapshot, notice: Notice, command: str) -> str:
    if notice.case == MORE:
        return "taskmill attention"
    if notice.kind is NoticeKind.OLD_SNAPSHOT and (holders := _sorted(snapshot, notice)):
        name = holders[0].name.replace("'", "''")
        return _HOLDER_COMMANDS[holders[0].kind].format(name=name)
    if notice.kind is NoticeKind.WEBHOOK_FAILING and notice.case != "disabled":
        return f"taskmill webhook test {notice.subject}"
    return command.format_map({**notice.facts, "subject": notice.subject})


def _sorted(snapshot: DoctorSnapshot, notice: Notice) -> list[SnapshotHolder]:
    """Return who has snapshots, first the one that the notice is about."""
    holders = snapshot.holders or ()
    if notice.case == "old":
        return sorted(holders, key=lambda one: -(one.held_s or 0))
    return sorted(holders, key=lambda one: -one.xmin_age)


def _nothing_more(_: DoctorSnapshot, __: Notice) -> Sequence[str]:
    return ()


def _holders(snapshot: DoctorSnapshot, notice: Notice) -> Sequence[str]:
    """Name who has the oldest snapshots, the oldest first."""
    return [_holder_line(one) for one in _sorted(snapshot, notice)[:_MOST_HOLDERS]]


def _holder_line(holder: SnapshotHolder) -> str:
    held = "" if holder.held_s is None else f", open for {span(timedelta(seconds=holder.held_s))}"
    facts = (("login ", holder.login), ("application ", holder.application), ("", holder.state))
    shown = "".join(f", {name}{value}" for name, value in facts if value)
    return f"{holder.kind} {holder.name}{shown}{held}, {holder.xmin_age:,} transactions ago"


def _processes(snapshot: DoctorSnapshot, _: Notice) -> Sequence[str]:
    return [f"{version}: {', '.join(names)}" for version, names in snapshot.versions.items()]


_MORE: Final[Mapping[NoticeKind, Callable[[DoctorSnapshot, Notice], Sequence[str]]]] = {
    NoticeKind.OLD_SNAPSHOT: _holders,
    NoticeKind.VERSIONS_DIFFER: _processes,
}
