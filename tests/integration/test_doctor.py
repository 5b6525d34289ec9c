"""What the doctor finds in PostgreSQL: each thing is made wrong once, and fixed by the command that it names."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from taskmill.composition.process_report import ProcessReport
from taskmill.domain import attention_system_rules, doctor_rules
from taskmill.domain.attention import MarkState, NoticeKind, Severity
from taskmill.domain.doctor import Diagnosis, DiagnosisKind, DoctorReport
from taskmill.settings import DatabaseSettings
from taskmill.storage import migrate
from taskmill.storage.database import Database
from tests.support.doctor import examined, settings_of, wrong
from tests.support.polling import eventually
from tests.support.role_database import RoleDatabase
from tests.support.stage import Stage

MANY = 60_000
FILL = f"""
    INSERT INTO taskmill.task_minute_delta (queue, type, event, tasks)
    SELECT 'mail', 'send', 'succeeded', 1 FROM generate_series(1, {MANY})
"""  # noqa: S608 - a number of ours
NO_AUTOVACUUM = "ALTER TABLE taskmill.task_minute_delta SET (autovacuum_enabled = false)"
EMPTY = """
    DELETE FROM taskmill.task_minute_delta
    WHERE ctid <> (SELECT max(ctid) FROM taskmill.task_minute_delta)
"""
PROCESS = """
    INSERT INTO taskmill.process (id, name, roles, version, clock_ahead_s, failing_duties)
    VALUES ($1, $2, '{relay}', $3, 0, '[]')
"""


async def one(stage: Stage, kind: str, subject: str = "") -> Diagnosis:
    """Examine, and return one diagnosis."""
    return wrong(await examined(stage))[kind, subject]


async def kinds(stage: Stage) -> set[str]:
    """Examine, and return what was found."""
    return {kind for kind, _ in wrong(await examined(stage))}


async def fix(stage: Stage, diagnosis: Diagnosis) -> None:
    """Do what a diagnosis says, as the owner."""
    await stage.sql.execute(diagnosis.command.partition(" -- ")[0])


async def test_nothing_is_wrong_with_a_service_that_is_well(stage: Stage) -> None:
    await stage.open_lease(ttl_s=15)
    await stage.created()
    report = await examined(stage)
    assert wrong(report) == {}
    assert (report.migration, report.took_s < 3) == (report.needed_migration, True)
    assert report.postgres


async def test_a_schema_that_is_too_old_is_named_and_no_table_is_read(stage: Stage) -> None:
    await stage.sql.execute("UPDATE taskmill.alembic_version SET version_num = '0040'")
    report = await examined(stage)
    found = wrong(report)[DiagnosisKind.SCHEMA, ""]
    assert (found.severity, found.command) == (Severity.TROUBLE, "taskmill migrate")
    assert "the schema is 0040" in found.evidence[0]
    assert ("what the tables have", "the schema is another one") in [
        (unseen.what, unseen.reason) for unseen in report.unseen
    ]


async def test_a_schema_that_is_too_new_needs_another_program(stage: Stage) -> None:
    await stage.sql.execute("UPDATE taskmill.alembic_version SET version_num = '9999'")
    await stage.sql.execute(
        f"COMMENT ON TABLE taskmill.alembic_version IS '{migrate.comment_of('9999')}'"
    )
    found = await one(stage, DiagnosisKind.SCHEMA)
    assert found.command.startswith("pip install 'FOLDER/taskmill-VERSION-")
    assert "too new" in found.evidence[0]


async def test_a_database_that_is_away_is_the_only_thing_that_is_found(stage: Stage) -> None:
    impatient = DatabaseSettings(connect_timeout_s=0.5)
    database = Database("postgresql://nobody@127.0.0.1:1/none", impatient)
    try:
        report = await examined(stage, database=database)
    finally:
        await database.close()
    assert {kind for kind, _ in wrong(report)} == {DiagnosisKind.DATABASE_AWAY}
    assert report.worst is Severity.TROUBLE


async def test_versions_that_differ_are_named_with_their_processes(stage: Stage) -> None:
    for name, version in (("host-1", "1.0.0"), ("host-2", "1.1.0"), ("host-3", "1.1.0")):
        await stage.sql.execute(PROCESS, uuid4(), name, version)
    report = await examined(stage)
    assert report.versions == {"1.0.0": 1, "1.1.0": 2}
    found = wrong(report)[NoticeKind.VERSIONS_DIFFER, ""]
    assert "1.1.0: host-2, host-3" in found.evidence


async def test_a_clock_that_is_off_and_a_role_that_is_missing_are_taken_from_attention(
    stage: Stage,
) -> None:
    stage.clock._offset -= 60
    report = ProcessReport(
        stage.database,
        stage.clock,
        uuid4(),
        process_name="host-1",
        roles=("relay",),
        services=(),
    )
    await report.report()
    found = await one(stage, NoticeKind.CLOCK_SKEW, "host-1")
    assert (found.severity, found.command) == (Severity.WARNING, "chronyc makestep")
    await stage.sql.execute("UPDATE taskmill.process SET seen_at = now() - interval '1 h'")
    found = await one(stage, NoticeKind.ROLE_MISSING, "relay")
    assert found.command == "taskmill run relay"


async def test_what_somebody_has_acknowledged_does_not_count(stage: Stage) -> None:
    await stage.sql.execute(PROCESS, uuid4(), "host-1", "1.0.0")
    await stage.sql.execute("UPDATE taskmill.process SET seen_at = now() - interval '1 h'")
    notices = (await stage.service.attention.read()).notices
    [notice] = [one for one in notices if one.kind is NoticeKind.ROLE_MISSING]
    await stage.service.attention.mark(notice.id, MarkState.ACKNOWLEDGED)
    report = await examined(stage)
    found = wrong(report)[NoticeKind.ROLE_MISSING, "relay"]
    assert (found.counts, report.diagnoses[-1]) == (False, found)
    assert any("acknowledged" in line for line in found.evidence)


async def test_the_oldest_snapshot_is_named_with_its_session_which_the_command_ends(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_system_rules, "_OLD_SNAPSHOT_S", 0.05)
    owner = stage.owner_database
    holder = await asyncpg.connect(stage.url, server_settings={"application_name": "a report"})
    await holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    pid = await holder.fetchval("SELECT pg_backend_pid()")

    async def is_old() -> Diagnosis | None:
        report = await examined(stage, database=owner)
        return wrong(report).get((NoticeKind.OLD_SNAPSHOT, ""))

    found = await eventually(is_old, "the snapshot is old")
    assert found is not None
    assert any(f"session {pid}" in line and "a report" in line for line in found.evidence)
    assert found.command == f"SELECT pg_terminate_backend({pid})"
    await fix(stage, found)

    async def has_ended() -> bool:
        return not await stage.sql.fetch("SELECT FROM pg_stat_activity WHERE pid = $1", pid)

    await eventually(has_ended, "the session to end")
    holder.terminate()


async def test_who_waits_for_a_lock_is_named_and_the_command_ends_who_holds_it(
    stage: Stage,
) -> None:
    holder = await asyncpg.connect(stage.url)
    pid = await holder.fetchval("SELECT pg_backend_pid()")
    await holder.execute("BEGIN; LOCK TABLE taskmill.webhook IN ACCESS EXCLUSIVE MODE")

    async def waits() -> Diagnosis | None:
        return wrong(await examined(stage)).get((DiagnosisKind.LOCK_WAIT, str(pid)))

    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.sql.fetch("SELECT FROM taskmill.webhook"))
        found = await eventually(waits, "a wait of a second")
        assert found is not None
        assert "has waited for table taskmill.webhook for" in found.evidence[0]
        assert found.command == f"SELECT pg_terminate_backend({pid})"
        other = await asyncpg.connect(stage.url)
        await other.execute(found.command)
        await waiting
        await other.close()
    holder.terminate()


async def test_a_table_that_is_locked_hides_no_more_than_what_is_in_it(stage: Stage) -> None:
    holder = await asyncpg.connect(stage.url)
    await holder.execute("BEGIN; LOCK TABLE taskmill.lease IN ACCESS EXCLUSIVE MODE")
    try:
        report = await examined(stage)
    finally:
        await holder.close()
    unseen = {one.what: one.reason for one in report.unseen}
    assert unseen["what needs attention"] == "it took longer than 1.8 s"
    assert (report.postgres is not None, report.took_s < 4) == (True, True)


async def rows_that_died(stage: Stage) -> None:
    """Have a table get many rows, and lose almost all of them, while nobody vacuums it."""
    await stage.sql.execute(NO_AUTOVACUUM)
    await stage.sql.execute(FILL)
    await stage.sql.execute(EMPTY)
    await stage.sql.execute("SELECT pg_stat_force_next_flush()")
    await stage.sql.execute("SELECT 1")


async def test_dead_rows_and_a_table_without_autovacuum_are_named_and_the_commands_fix_both(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_rules, "_VACUUMED_S", 0.0)
    await rows_that_died(stage)
    found = await one(stage, DiagnosisKind.DEAD_ROWS, "task_minute_delta")
    assert "never vacuumed" in found.evidence
    off = await one(stage, DiagnosisKind.AUTOVACUUM_OFF, "task_minute_delta")
    await fix(stage, found)
    await fix(stage, off)
    assert not {DiagnosisKind.DEAD_ROWS, DiagnosisKind.AUTOVACUUM_OFF} & await kinds(stage)


async def test_a_table_that_is_mostly_empty_is_named_and_the_command_fixes_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_rules, "_BLOATED_BYTES", 2**20)
    await rows_that_died(stage)
    await stage.sql.execute("VACUUM taskmill.task_minute_delta")
    found = await one(stage, DiagnosisKind.BLOAT, "task_minute_delta")
    assert found.command.startswith("VACUUM (FULL) taskmill.task_minute_delta")
    await fix(stage, found)
    assert DiagnosisKind.BLOAT not in await kinds(stage)


async def test_a_server_that_counts_nothing_and_one_that_loses_commits_are_named(
    stage: Stage,
) -> None:
    name = await stage.sql.fetchval("SELECT current_database()")
    for setting in ("track_counts", "synchronous_commit"):
        await stage.sql.execute(f"ALTER DATABASE {name} SET {setting} = off")
    owner = stage.owner_database
    found = wrong(await examined(stage, database=owner))
    off = found[DiagnosisKind.AUTOVACUUM_OFF, "server"]
    assert off.evidence == ["track_counts = off"]
    lossy = found[DiagnosisKind.SETTINGS, "synchronous_commit = off"]
    assert lossy.severity is Severity.TROUBLE


async def test_connections_that_run_out_are_named_with_their_limit(stage: Stage) -> None:
    name = await stage.sql.fetchval("SELECT current_database()")
    await stage.sql.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 16")
    others = [await asyncpg.connect(stage.url) for _ in range(11)]
    try:
        found = await one(stage, DiagnosisKind.CONNECTIONS, "database")
    finally:
        for other in others:
            await other.close()
    assert f"database {name}" in found.evidence[0]
    await fix(stage, found)
    assert DiagnosisKind.CONNECTIONS not in await kinds(stage)


async def test_more_pools_than_connections_contradict_each_other(stage: Stage) -> None:
    for number in range(3):
        await stage.sql.execute(PROCESS, uuid4(), f"host-{number}", "1.0.0")
    pools = DatabaseSettings(pool_size=100)
    report = await examined(stage, settings=settings_of(stage, database=pools))
    [found] = [one for one in report.diagnoses if "POOL_SIZE=100" in one.subject]
    assert found.severity is Severity.WARNING


async def test_partitions_that_are_missing_are_taken_from_attention(stage: Stage) -> None:
    for (week,) in await stage.sql.fetch(
        r"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'taskmill.task'::regclass "
        r"AND inhrelid::regclass::text ~ 'w\d\d$' ORDER BY 1 DESC LIMIT 3"
    ):
        await stage.sql.execute(f"DROP TABLE {week}")
    found = await one(stage, NoticeKind.PARTITIONS_MISSING)
    assert found.command == "taskmill run maintenance"


async def test_tasks_that_run_under_a_lease_of_nobody_are_named(stage: Stage) -> None:
    closed, gone = [await stage.open_lease(ttl_s=15) for _ in range(2)]
    for lease in (closed, gone):
        await stage.running(lease)
    await stage.sql.execute("UPDATE taskmill.lease SET closed_at = now() WHERE id = $1", closed)
    await stage.sql.execute("DELETE FROM taskmill.lease WHERE id = $1", gone)
    found = wrong(await examined(stage))
    # Rescue takes back those of the other one within a second.
    assert (DiagnosisKind.ABANDONED_CLAIMS, str(closed)) not in found
    assert found[DiagnosisKind.ABANDONED_CLAIMS, str(gone)].command == "taskmill run maintenance"
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now() - interval '1 min' WHERE id = $1", closed
    )
    found = wrong(await examined(stage))
    evidence = found[DiagnosisKind.ABANDONED_CLAIMS, str(closed)].evidence
    assert "of tester ended 1m ago" in evidence[0]


async def test_a_lease_that_nobody_closes_is_taken_from_attention(stage: Stage) -> None:
    await stage.open_lease(ttl_s=15)
    await stage.sql.execute(
        "UPDATE taskmill.lease SET expires_at = now() - interval '2 min', renewed_at = now() - interval '3 min'"
    )
    assert {NoticeKind.NO_MAINTENANCE, NoticeKind.WORKER_SILENT} <= await kinds(stage)


async def test_leases_of_another_length_than_the_settings_here_contradict_them(
    stage: Stage,
) -> None:
    await stage.open_lease(ttl_s=60)
    report = await examined(stage)
    [found] = [one for one in report.diagnoses if "TASKMILL_LEASE__TTL_S" in one.subject]
    assert "tester: 60 s" in found.evidence


async def test_followers_that_lag_are_taken_from_attention(stage: Stage) -> None:
    await stage.created()
    await stage.sql.execute("UPDATE taskmill.change_batch SET at = at - interval '2 minutes'")
    assert (await one(stage, NoticeKind.FEED_BEHIND)).command == "taskmill run maintenance"
    await stage.sql.execute("UPDATE taskmill.change_batch SET position = 1")
    await stage.sql.execute(
        "INSERT INTO taskmill.feed_delivery (follower, position, ordinal) VALUES ('rabbitmq', 0, 0) "
        "ON CONFLICT (follower) DO UPDATE SET position = 0, ordinal = 0"
    )
    found = await one(stage, NoticeKind.FOLLOWER_BEHIND, "rabbitmq")
    assert found.command == "taskmill run relay"


async def unseen_with(stage: Stage, role: str) -> DoctorReport:
    """Examine with the login of a role."""
    return await examined(stage, database=stage.database.of(role))


async def test_the_login_of_processes_sees_all_but_what_its_report_names(stage: Stage) -> None:
    report = await examined(stage)
    assert {one.what for one in report.unseen} == {
        "snapshots of other logins' sessions",
        "the disk of PostgreSQL",
    }
    assert report.unseen[0].command == "GRANT pg_read_all_stats TO taskmill_app"
    report = await examined(stage, database=stage.owner_database)
    assert report.unseen == []


async def test_a_login_without_rights_is_shown_what_it_may_not_see(stage: Stage) -> None:
    report = await unseen_with(stage, "taskmill_enqueue")
    reasons = {one.what: one.reason for one in report.unseen}
    assert reasons["the schema"] == "this login may not see it"
    assert report.postgres
    commands = {one.command for one in report.unseen}
    assert "GRANT pg_read_all_stats TO taskmill_enqueue" in commands


async def test_the_doctor_writes_nothing(stage: Stage) -> None:
    await stage.open_lease(ttl_s=15)
    name = await stage.sql.fetchval("SELECT current_database()")
    await stage.sql.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    database = RoleDatabase(stage.url, DatabaseSettings())
    try:
        report = await examined(stage, database=database)
    finally:
        await database.close()
    assert (wrong(report), len(report.unseen)) == ({}, 2)
