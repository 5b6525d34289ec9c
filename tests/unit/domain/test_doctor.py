"""What the doctor takes over from attention, and how its diagnoses follow from facts."""

from dataclasses import replace
from uuid import UUID

import pytest

from taskmill.domain.attention import (
    MOST_OF_A_KIND,
    MarkState,
    NoticeKind,
    NoticeMark,
    Severity,
    conclude,
)
from taskmill.domain.attention_texts import sentence
from taskmill.domain.doctor import Diagnosis, DiagnosisKind, DoctorReport, ordered
from taskmill.domain.doctor_notices import COMMANDS
from taskmill.domain.doctor_rules import diagnose
from taskmill.domain.doctor_snapshot import (
    AbandonedClaims,
    BrokerFacts,
    ConnectionUse,
    DiskState,
    DoctorSnapshot,
    LockWait,
    SnapshotHolder,
    TableState,
)
from tests.support.attention import CASES, NOON, attention, notices, process, snapshot
from tests.support.every import every

GIB = 2**30
HOLDER = SnapshotHolder(
    kind="slot",
    name="o'brien",
    login=None,
    application=None,
    state="inactive",
    held_s=None,
    xmin_age=9_000_000,
)


def kinds(**parts: object) -> list[str]:
    return [one.kind for one in diagnose(DoctorSnapshot(**parts))]  # type: ignore[arg-type]


def test_nothing_is_found_where_nothing_is_known() -> None:
    assert kinds() == []


@every("case", CASES)
def test_each_notice_about_the_service_has_a_command_and_says_the_same(case: str) -> None:
    found = attention(**CASES[case])
    diagnoses = diagnose(DoctorSnapshot(attention=found))
    wanted = [one for one in found.notices if one.kind in COMMANDS]
    assert [(one.kind, one.sentence, one.severity) for one in diagnoses] == [
        (one.kind, sentence(one), one.severity) for one in wanted
    ]
    for one in diagnoses:
        assert one.command
        assert "{" not in one.command


def test_what_is_about_queues_and_their_tasks_is_left_to_attention() -> None:
    about_tasks = {NoticeKind.LATE, NoticeKind.FAILING, NoticeKind.PAUSED, NoticeKind.NO_WORKERS}
    assert not about_tasks & COMMANDS.keys()


def test_what_stands_for_others_leads_to_all_of_them() -> None:
    skewed = [
        process(f"host-{number:03}", clock_ahead_s=60.0) for number in range(MOST_OF_A_KIND + 5)
    ]
    found = conclude(NOON, notices(processes=skewed))
    *_, last = diagnose(DoctorSnapshot(attention=found))
    assert last.command == "taskmill attention"


def test_what_was_acknowledged_comes_last_and_does_not_count() -> None:
    mark = NoticeMark(state=MarkState.ACKNOWLEDGED, by="anna", at=NOON)
    found = attention(**CASES["no_maintenance.overdue"])
    marked = replace(found, notices=[replace(one, mark=mark) for one in found.notices])
    disk = DiskState(holds="x", path="/", free_bytes=GIB, total_bytes=100 * GIB)
    diagnoses = diagnose(DoctorSnapshot(attention=marked, disks=[disk]))
    assert [one.counts for one in diagnoses] == [True, False, False]
    assert "acknowledged by anna" in diagnoses[-1].evidence


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("session", "SELECT pg_terminate_backend(o''brien)"),
        ("slot", "SELECT pg_drop_replication_slot('o''brien')"),
        ("prepared", "ROLLBACK PREPARED 'o''brien'"),
    ],
)
def test_the_command_ends_whatever_holds_the_oldest_snapshot(kind: str, command: str) -> None:
    found = attention(**CASES["old_snapshot.far"])
    younger = replace(HOLDER, name="younger", xmin_age=5)
    facts = DoctorSnapshot(attention=found, holders=[younger, replace(HOLDER, kind=kind)])
    [diagnosis] = diagnose(facts)
    assert diagnosis.command == command
    assert diagnosis.evidence[1] == f"{kind} o'brien, inactive, 9,000,000 transactions ago"


@pytest.mark.parametrize(
    ("free", "total", "severity"),
    [
        (11 * GIB, 100 * GIB, None),
        (9 * GIB, 100 * GIB, Severity.WARNING),
        (1 * GIB, 100 * GIB, Severity.TROUBLE),
        (21 * GIB, 10_000 * GIB, None),
        (19 * GIB, 10_000 * GIB, Severity.WARNING),
        (1 * GIB, 5 * GIB, None),
    ],
)
def test_a_disk_is_full_by_its_share_and_never_with_much_room(
    free: int, total: int, severity: Severity | None
) -> None:
    disk = DiskState(holds="PostgreSQL", path="/", free_bytes=free, total_bytes=total)
    found = diagnose(DoctorSnapshot(disks=[disk]))
    assert [one.severity for one in found] == [severity][: severity is not None]


def test_who_waits_for_nobody_is_the_one_to_end() -> None:
    first = LockWait(pid=2, on="table a", waited_s=9, application=None, blockers=[1])
    second = LockWait(pid=3, on="table a", waited_s=5, application="psql", blockers=[2, 1])
    [found] = diagnose(DoctorSnapshot(lock_waits=[first, second]))
    assert found.command == "SELECT pg_terminate_backend(1)"
    assert found.sentence == "2 sessions wait for locks, the longest for 9 s."
    assert kinds(lock_waits=[replace(first, waited_s=0.9)]) == []


@pytest.mark.parametrize(
    ("scope", "whose", "command"),
    [
        (
            "server",
            "the server",
            "ALTER SYSTEM SET max_connections = 200 -- and restart PostgreSQL",
        ),
        ("database", "the database mill", "ALTER DATABASE mill CONNECTION LIMIT 200"),
        ("login", "the login mill", "ALTER ROLE mill CONNECTION LIMIT 200"),
    ],
)
def test_few_connections_left_name_whose_limit_that_is(
    scope: str, whose: str, command: str
) -> None:
    use = ConnectionUse(scope=scope, name="mill", used=95, limit=100)
    [found] = diagnose(DoctorSnapshot(connections=[use]))
    assert (found.kind, found.command) == (DiagnosisKind.CONNECTIONS, command)
    assert f"connections that {whose} may have" in found.sentence


def test_dead_rows_name_the_snapshot_that_holds_them() -> None:
    table = TableState(
        name="dispatch",
        live=10**4,
        dead=10**6,
        rows=10**6,
        pages=100_000,
        vacuumed_s=60,
        unvacuumed_s=3600,
        has_autovacuum=True,
    )
    held = replace(HOLDER, held_s=3600.0)
    found = diagnose(DoctorSnapshot(tables=[table], holders=[held]))
    evidence = [line for one in found for line in one.evidence]
    assert {"vacuumed 1m ago", "the oldest snapshot is 1h old"} <= set(evidence)


def test_a_lock_of_a_prepared_transaction_is_ended_by_its_name() -> None:
    # PostgreSQL names 0 for it, which is no session.
    wait = LockWait(pid=2, on="table a", waited_s=9, application=None, blockers=[0])
    [found] = diagnose(DoctorSnapshot(lock_waits=[wait]))
    assert found.command.startswith("SELECT gid, prepared, owner FROM pg_prepared_xacts")
    assert "ROLLBACK PREPARED 'GID'" in found.command
    assert found.sentence == "A session has waited for a lock for 9 s."
    assert found.evidence == [
        "session 2 has waited for table a for 9 s, held by a prepared transaction"
    ]
    [found] = diagnose(DoctorSnapshot(lock_waits=[replace(wait, blockers=[0, 7])]))
    assert "held by a prepared transaction and session 7" in found.evidence[0]


def test_a_table_with_many_rows_may_have_many_dead_ones_and_many_pages() -> None:
    busy = TableState(
        name="dispatch",
        live=10**6,
        dead=10**6,
        rows=10**6,
        pages=100_000,
        vacuumed_s=600,
        unvacuumed_s=600,
        has_autovacuum=True,
    )
    assert kinds(tables=[busy]) == []
    assert kinds(tables=[replace(busy, live=100)]) == [DiagnosisKind.DEAD_ROWS]
    assert kinds(tables=[replace(busy, rows=100)]) == [DiagnosisKind.BLOAT]
    never = replace(busy, rows=-1, pages=0, vacuumed_s=None)
    assert kinds(tables=[never]) == []


def test_rows_that_died_since_a_vacuum_are_no_matter_unless_that_is_late_or_removes_nothing() -> (
    None
):
    burst = TableState(
        name="dispatch",
        live=100,
        dead=200_000,
        rows=100,
        pages=100,
        vacuumed_s=None,
        unvacuumed_s=59,
        has_autovacuum=True,
    )
    assert kinds(tables=[burst]) == []
    assert kinds(tables=[replace(burst, unvacuumed_s=180)]) == [DiagnosisKind.DEAD_ROWS]
    session = replace(HOLDER, kind="session", name="7", held_s=59)
    assert kinds(tables=[burst], holders=[session]) == []
    session = replace(session, held_s=60)
    assert kinds(tables=[burst], holders=[session]) == [DiagnosisKind.DEAD_ROWS]


def test_what_rescue_has_just_to_take_back_is_not_abandoned() -> None:
    claims = AbandonedClaims(lease_id=UUID(int=1), worker="w", tasks=1, closed_s=9)
    assert kinds(abandoned=[claims]) == []
    for tasks, words in ((1, "A task runs under"), (2, "2 tasks run under")):
        [found] = diagnose(DoctorSnapshot(abandoned=[replace(claims, tasks=tasks, closed_s=None)]))
        assert found.sentence.startswith(words)
    assert kinds(abandoned=[replace(claims, closed_s=10)]) == [DiagnosisKind.ABANDONED_CLAIMS]
    assert kinds(abandoned=[replace(claims, closed_s=None)]) == [DiagnosisKind.ABANDONED_CLAIMS]


def test_a_broker_that_confirms_or_that_nobody_may_ask_has_no_alarm() -> None:
    assert kinds(broker=BrokerFacts(is_blocked=False)) == []
    assert kinds(broker=BrokerFacts(is_blocked=None)) == []
    assert kinds(broker=BrokerFacts(is_blocked=True)) == [DiagnosisKind.BROKER_ALARM]


def test_the_worst_comes_first_and_decides() -> None:
    warning = Diagnosis(kind="a", severity=Severity.WARNING, sentence="", command="")
    trouble = replace(warning, kind="b", severity=Severity.TROUBLE)
    silent = replace(trouble, kind="c", counts=False)
    assert [one.kind for one in ordered([silent, warning, trouble])] == ["b", "a", "c"]
    report = DoctorReport(at=snapshot().at, took_s=0, version="1", needed_migration="1")
    assert report.worst is None
    assert replace(report, diagnoses=[silent]).worst is None
    assert replace(report, diagnoses=[silent, warning]).worst is Severity.WARNING
    assert replace(report, diagnoses=[warning, trouble]).worst is Severity.TROUBLE
