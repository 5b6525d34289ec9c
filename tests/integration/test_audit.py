"""The audit log: what is recorded of an action and its outcome, that nothing changes it, and its retention."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from taskmill.domain import identity
from taskmill.domain.audit import (
    Actor,
    ActorKind,
    AuditAction,
    AuditFilter,
    AuditOutcome,
    Origin,
    Target,
    TargetType,
)
from taskmill.domain.errors import QueueNotFound, Unavailable
from taskmill.domain.parts import PAGE_BYTES
from taskmill.operations.audit import AuditLog
from taskmill.operations.contracts import register
from taskmill.storage import audit_months
from taskmill.storage.audit_months import Month
from taskmill.storage.rights import MAINTENANCE
from taskmill.storage.statements import statement
from taskmill.wire.contracts.contract import compile_contract
from tests.support.api import LogLines, Served
from tests.support.audit import ended_entry, entries, written
from tests.support.contracts import a_contract
from tests.support.housekeeping import duties
from tests.support.pages import serving_pages
from tests.support.plans import Plan
from tests.support.role_database import RoleDatabase
from tests.support.stage import SETTINGS, Stage

CANARY = "canary-4f1d"
KEY = Actor(kind=ActorKind.KEY, name="deploy", key_id="k1", session="s1", address="192.0.2.7")


async def test_a_refused_action_has_the_reason_and_none_of_its_text(
    api: Served, stage: Stage
) -> None:
    await stage.created(queue="mail")
    assert (await api.http.delete("/queues/mail")).status_code == 409
    entry = await ended_entry(stage)
    assert (entry.outcome, entry.reason) == (AuditOutcome.REFUSED, "queue-not-empty")


async def test_a_fault_of_the_service_is_recorded_as_failed(stage: Stage) -> None:
    with pytest.raises(ZeroDivisionError):
        async with stage.service.audit.record(AuditAction.BROKER_REBUILD):
            raise ZeroDivisionError
    entry = await ended_entry(stage)
    assert (entry.outcome, entry.reason) == (AuditOutcome.FAILED, "ZeroDivisionError")


async def test_an_action_that_is_cut_off_has_an_entry_with_an_unknown_outcome(
    stage: Stage,
) -> None:
    began = asyncio.Event()

    async def act() -> None:
        async with stage.service.audit.record(AuditAction.BROKER_REBUILD):
            began.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        acting = group.create_task(act())
        await began.wait()
        # Its entry is there before anything is done.
        [entry] = await entries(stage)
        acting.cancel()
    assert await entries(stage) == [entry]
    assert (entry.outcome, entry.ended_at) == (AuditOutcome.UNKNOWN, None)


async def test_what_may_have_taken_effect_has_an_unknown_outcome(stage: Stage) -> None:
    with pytest.raises(Unavailable):
        async with stage.service.audit.record(AuditAction.BROKER_REBUILD):
            raise Unavailable(1, "the database")
    [entry] = await entries(stage)
    assert entry.outcome is AuditOutcome.UNKNOWN


async def test_nothing_is_done_without_an_entry(stage: Stage, api: Served) -> None:
    task = await stage.created()
    await stage.sql.execute("ALTER TABLE taskmill.audit_entry RENAME TO gone")
    assert (await api.post(f"/tasks/{task.id}/cancel")).status_code == 500
    assert (await stage.task(task.id)).status == "new"


async def test_an_outcome_that_is_lost_changes_no_response(
    stage: Stage, api: Served, log_lines: LogLines
) -> None:
    task = await stage.created()
    await stage.sql.execute("ALTER TABLE taskmill.audit_outcome RENAME TO gone")
    assert (await api.post(f"/tasks/{task.id}/cancel")).status_code == 200
    [line] = log_lines.named("audit.outcome_lost")
    assert line["outcome"] == "done"


async def test_an_actor_is_recorded_as_it_is_known(stage: Stage) -> None:
    origin = Origin(actor=KEY, request_id="r1")
    target = Target(TargetType.QUEUE, "mail")
    async with stage.service.audit.record(
        AuditAction.QUEUE_PAUSE, target, details={"asked": 1}, origin=origin
    ) as outcome:
        outcome["done"] = 2
    entry = await ended_entry(stage)
    assert (entry.origin, entry.target_type, entry.target_id) == (origin, "queue", "mail")
    assert (orjson.loads(entry.asked), orjson.loads(entry.done or "")) == (
        {"asked": 1},
        {"done": 2},
    )


async def test_a_sweep_is_one_entry_with_its_filter_and_numbers(api: Served, stage: Stage) -> None:
    for _ in range(3):
        await stage.created(queue="mail", labels='{"team":"a"}')
    await stage.created(queue="other")
    asked = {"queue": "mail", "label": ["team=a"]}
    counted = await api.post("/tasks/cancel", {**asked, "dry_run": True})
    assert counted.json()["matched"] == 3
    assert await entries(stage) == []
    await api.post("/tasks/cancel", asked)
    entry = await ended_entry(stage)
    found = orjson.loads(entry.asked)
    assert (found["queue"], found["labels"], found["is_continued"]) == (
        "mail",
        {"team": "a"},
        False,
    )
    assert orjson.loads(entry.done or "") == {"matched": 3, "changed": 3, "requested": 0}


async def test_a_job_of_the_dashboard_is_one_entry_by_the_one_who_started_it(
    stage: Stage,
) -> None:
    made = [await stage.created() for _ in range(3)]
    async with serving_pages(stage) as pages:
        form = "&".join(["what=cancel", *(f"id={task.id}" for task in made[:2])]).encode()
        await pages.post("/ui/sweeps", form, headers={"x-request-id": "mine"})
        entry = await ended_entry(stage)
    assert entry.origin.actor.address == "127.0.0.1"
    assert entry.origin.request_id == "mine"
    asked = orjson.loads(entry.asked)
    assert asked == {"job": asked["job"], "ids": [str(task.id) for task in made[:2]]}
    done = orjson.loads(entry.done or "")
    assert (done["state"], done["changed"]) == ("done", 2)


async def test_a_worker_that_registers_what_is_current_is_not_recorded(stage: Stage) -> None:
    compiled = compile_contract(a_contract())
    await register(stage.database, "worker-1", [compiled])
    await register(stage.database, "worker-2", [compiled])
    entry = await ended_entry(stage)
    assert (entry.action, entry.target_id) == (AuditAction.TYPE_REGISTER, compiled.type)
    assert orjson.loads(entry.asked) == {"by": "worker-1"}
    assert entry.origin.actor.kind is ActorKind.MACHINE


async def test_no_payload_and_no_secret_is_recorded(api: Served, stage: Stage) -> None:
    created = await api.create(payload={"secret": CANARY}, description=CANARY)
    await api.post(f"/tasks/{created['id']}/cancel")
    await api.post(f"/tasks/{created['id']}/retry")
    url = f"https://user:{CANARY}@example.org/{CANARY}?token={CANARY}"
    made = await api.post("/webhooks", {"url": url.replace(f"user:{CANARY}@", "")})
    webhook = made.json()
    changes = {"url": f"https://example.org/{CANARY}", "rotate_secret": True}
    changed = await api.http.patch(f"/webhooks/{webhook['id']}", json=changes)
    assert changed.status_code == 200, changed.text
    schema = {"type": "object", "description": CANARY}
    put = {"payload_schema": schema, "defaults": {"payload": {"a": CANARY}}}
    await api.http.put("/types/held", json=put)
    await api.http.patch("/queues/mail", json={"paused": CANARY})
    found = await written(stage.sql)
    assert found.count("\n") >= 6
    for secret in (CANARY, webhook["secret"], changed.json()["secret"]):
        assert secret not in found


async def test_details_are_bounded(stage: Stage) -> None:
    details = {"name": "x" * 40_000}
    async with stage.service.audit.record(AuditAction.TASKS_CANCEL, details=details) as outcome:
        outcome["name"] = "y" * 40_000
    entry = await ended_entry(stage)
    assert (entry.asked, entry.done) == ('{"left_out":true}', '{"left_out":true}')


@pytest.mark.parametrize("table", ["audit_entry", "audit_outcome"])
@pytest.mark.parametrize(
    "command", ["UPDATE {} SET details = '{{}}'", "DELETE FROM {}", "TRUNCATE {}"]
)
async def test_what_is_recorded_can_be_neither_changed_nor_deleted(
    stage: Stage, table: str, command: str
) -> None:
    async with stage.service.audit.record(AuditAction.BROKER_REBUILD):
        pass
    month = Month.of(stage.clock.now())
    before = await written(stage.sql)
    for name in (f"taskmill.{table}", f"taskmill.{table}_{month.suffix}"):
        with pytest.raises(asyncpg.RestrictViolationError, match="only added to"):
            await stage.sql.execute(command.format(name))
    assert await written(stage.sql) == before


async def test_a_month_without_a_partition_gets_one_by_its_first_entry(stage: Stage) -> None:
    for month in await audit_months.attached(stage.database):
        for table in ("audit_entry", "audit_outcome"):
            await stage.sql.execute(f"DROP TABLE taskmill.{table}_{month.suffix}")
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(stage.service.set_queue_paused("mail", paused=True))
    assert len(await entries(stage)) == 5
    this_month = Month.of(stage.clock.now())
    months = [this_month, this_month.later(1), this_month.later(2)]
    assert await audit_months.attached(stage.database) == months


async def test_months_past_their_retention_are_dropped_as_a_whole(stage: Stage) -> None:
    now = stage.clock.now()
    this_month = Month.of(now)
    for months_ago in (14, 13, 12, 1):
        await audit_months.ensure(stage.database, this_month.later(-months_ago).start)
    async with stage.service.audit.record(AuditAction.BROKER_REBUILD):
        pass
    await duties(stage)["audit-months"]()
    left = await audit_months.attached(stage.database)
    assert min(left).end > now - timedelta(days=365)
    assert this_month.later(-12) in left
    assert this_month.later(-13) not in left
    assert len(await entries(stage)) == 1
    assert await audit_months.drop_old(stage.maintenance_database, now, timedelta(days=365)) == []


def test_months_are_those_of_utc_and_called_by_their_number() -> None:
    month = Month.of(datetime.fromisoformat("2026-12-01T01:00:00+02:00"))
    assert (month.suffix, Month.parse("2026m11")) == ("2026m11", month)
    assert (month.start, month.end) == (
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 12, 1, tzinfo=UTC),
    )
    assert month.later(2) == Month(2027, 1)
    assert month.later(-11) == Month(2025, 12)


async def test_pages_are_newest_first_and_filtered(stage: Stage) -> None:
    other = Actor(kind=ActorKind.MACHINE, name="root")
    for number in range(6):
        async with stage.service.audit.record(
            AuditAction.QUEUE_PAUSE if number % 2 else AuditAction.QUEUE_RESUME,
            Target(TargetType.QUEUE, f"q{number % 3}"),
            origin=Origin(actor=KEY if number < 4 else other),
        ):
            pass
    newest = await entries(stage)
    ids = [entry.id for entry in newest]
    assert ids == sorted(ids, reverse=True)
    first = await stage.service.audit.page(AuditFilter(), before=None, limit=4)
    rest = await stage.service.audit.page(AuditFilter(), before=first[-1].id, limit=4)
    assert ([*first, *rest], first.has_more, rest.has_more) == (newest, True, False)

    async def found(**conditions: Any) -> list[int]:  # noqa: ANN401 - those of a filter
        return [newest.index(one) for one in await entries(stage, AuditFilter(**conditions))]

    assert await found(action=AuditAction.QUEUE_PAUSE) == [0, 2, 4]
    assert await found(actor="root") == [0, 1]
    assert await found(actor="192.0.2.7") == [2, 3, 4, 5]
    assert await found(target="q1") == [1, 4]
    assert await found(actor="deploy", target="q1") == [4]
    at = [identity.created_at(one.id) for one in newest]
    assert await found(since=at[2], until=at[0]) == [n for n in range(6) if at[2] <= at[n] < at[0]]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"action": "queue.delete"},
        {"name": "nobody"},
        {"address": "203.0.113.9"},
        {"target": "rare"},
        {"target": "mail"},
    ],
)
async def test_a_page_reads_little_whatever_it_is_filtered_by(
    stage: Stage, values: dict[str, str]
) -> None:
    await stage.sql.execute("""
        INSERT INTO taskmill.audit_entry (id, at, action, actor_kind, address, target_id, details)
        SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(n), 19, '0'))::uuid, now(), 'queue.pause', 'anonymous', '192.0.2.1',
            CASE WHEN n = 7 THEN 'rare' ELSE 'mail' END, '{}'
        FROM generate_series(1, 5000) AS n
    """)
    await stage.sql.execute("""
        INSERT INTO taskmill.audit_outcome (entry_id, at, outcome, details)
        SELECT id, at, 'done', '{}' FROM taskmill.audit_entry
    """)
    await stage.sql.execute("ANALYZE taskmill.audit_entry, taskmill.audit_outcome")
    given = [values.get(name) for name in ("action", "name", "address", "target")]
    [row] = await stage.sql.fetch(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement("list_audit_entries"),
        UUID(int=2**128 - 1),
        UUID(int=0),
        *given,
        51,
        PAGE_BYTES,
    )
    plan = Plan(orjson.loads(row[0])[0]["Plan"])
    assert plan.rows_read <= 200


async def test_a_queue_that_is_not_there_is_refused(stage: Stage) -> None:
    with pytest.raises(QueueNotFound):
        await stage.service.remove_queue("none")
    assert (await ended_entry(stage)).reason == "queue-not-found"


async def test_processes_add_to_the_log_and_only_maintenance_drops_months(stage: Stage) -> None:
    past = Month.of(stage.clock.now()).later(-14)
    app = RoleDatabase(stage.url, SETTINGS)
    maintenance = RoleDatabase(stage.url, SETTINGS, role=MAINTENANCE)
    try:
        assert past in await audit_months.ensure(app, past.start)
        async with AuditLog(app).record(AuditAction.BROKER_REBUILD):
            pass
        for command in (
            "UPDATE taskmill.audit_entry SET details = '{}'",
            "DELETE FROM taskmill.audit_outcome",
            f"SELECT taskmill.drop_audit_month('{past.start.date()}')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with app.hot() as connection:
                    await connection.execute(command)
        dropped = await audit_months.drop_old(maintenance, stage.clock.now(), timedelta(days=365))
        assert past in dropped
        with pytest.raises(asyncpg.RestrictViolationError, match="not over"):
            async with maintenance.hot() as connection:
                await connection.execute("SELECT taskmill.drop_audit_month(now()::date)")
    finally:
        await app.close()
        await maintenance.close()
    assert len(await entries(stage)) == 1
