"""Why a task is where it is: each blocker over the API, with a real task in that state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text

from taskmill.amqp.connection import BrokerLink
from taskmill.domain.blockers import BlockerName
from taskmill.domain.errors import TaskNotFound, Unavailable
from taskmill.domain.explain_snapshot import ExplainSnapshot, QueuePosition
from taskmill.domain.lifecycle import (
    ErrorInfo,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Permanent,
    Reason,
    Retry,
    Succeeded,
)
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.rescue import Rescue
from taskmill.operations.broker import BrokerWatch
from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from taskmill.settings import LimitSettings, Settings
from taskmill.storage import explain_snapshot, leases, releases
from taskmill.storage.claims import Bucket
from taskmill.storage.leases import WorkerProfile
from taskmill.storage.releases import HintQueue
from taskmill.wire.explanations import ExplanationView
from tests.support.api import Served, serving
from tests.support.builders import ERROR, a_draft
from tests.support.dispatching import Recorder
from tests.support.fake_service import unused_url
from tests.support.polling import eventually
from tests.support.stage import Stage, a_creation, a_rejections
from tests.support.workers import WorkerOptions, a_worker

HINT_LIFE = timedelta(seconds=10)
Json = dict[str, Any]


async def explained(api: Served, task_id: object) -> Json:
    """Get an explanation, and check what holds for all of them."""
    response = await api.get(f"/tasks/{task_id}/explain")
    assert response.status_code == 200, response.text
    view = ExplanationView.model_validate_json(response.content)
    assert view.model_dump_json().encode() == response.content
    explanation: Json = response.json()
    assert [blocker["blocker"] for blocker in explanation["blockers"]] == list(BlockerName)
    first = next(blocker for blocker in explanation["blockers"] if blocker["state"] == "holds")
    assert (explanation["blocker"], explanation["summary"]) == (first["blocker"], first["sentence"])
    assert explanation["todo"] == first["todo"]
    return explanation


def holding(explanation: Json) -> list[str]:
    return [
        blocker["blocker"] for blocker in explanation["blockers"] if blocker["state"] == "holds"
    ]


def blocker_of(explanation: Json, name: str) -> Json:
    return next(blocker for blocker in explanation["blockers"] if blocker["blocker"] == name)


def facts_of(explanation: Json, name: str) -> Json:
    facts: Json = blocker_of(explanation, name)["facts"]
    return facts


@asynccontextmanager
async def seeing_a_broker(
    stage: Stage, *, policy: str, trouble: str | None = None, link: BrokerLink | None = None
) -> AsyncIterator[Served]:
    """Serve with a broker that is reached, or away for a reason, or in the state of a link."""
    watch = BrokerWatch(
        policy=policy,
        hint_life=HINT_LIFE,
        trouble=(lambda: trouble) if link is None else (lambda: link.trouble),
    )
    creation = a_creation(stage.database, stage.clock, stage.ids)
    refused = a_rejections(stage.database, creation, stage.ids)
    reading = TaskReading(stage.database)
    async with (
        TaskService(stage.database, creation, reading, refused, broker=watch) as service,
        serving(service) as served,
    ):
        yield served


async def a_lease(stage: Stage, *, slots: int = 100, types: str = "*", **parts: Any) -> UUID:  # noqa: ANN401 - the card's fields
    """Open a lease for a minute."""
    lease_id = stage.ids()
    card = WorkerProfile(
        name=parts.get("name", "node-1"),
        queues=parts.get("queues", ()),
        types=types.split(","),
        slots=slots,
    )
    async with stage.database.hot() as connection:
        await leases.open_lease(connection, lease_id, card, ttl_s=60)
    return lease_id


async def age_leases(stage: Stage, seconds: float) -> None:
    """Make all leases older."""
    await stage.sql.execute(
        "UPDATE taskmill.lease SET renewed_at = renewed_at - $1::interval,"
        " expires_at = expires_at - $1::interval",
        timedelta(seconds=seconds),
    )


async def rescued(stage: Stage) -> None:
    """Do what maintenance does once it has seen the database available for long enough."""
    rescue = Rescue(stage.database, ttl_s=0, interval_s=1, name="rescue@test", clock=stage.clock)
    await rescue()
    await rescue()


@pytest.mark.parametrize(
    ("outcome", "end", "reason"),
    [
        (Succeeded(), "succeeded", None),
        (Failed(error=ERROR), "attempts_used_up", "error"),
        (Failed(error=ERROR, reason=Reason.TIMEOUT), "attempts_used_up", "timeout"),
        (Retry(error=ERROR), "attempts_used_up", "retry_asked"),
        (Permanent(error=ERROR), "permanent_failure", "permanent"),
        (Lost(), "losses_used_up", "worker_lost"),
    ],
)
async def test_how_a_task_ended_is_explained(
    api: Served, stage: Stage, outcome: Outcome, end: str, reason: str | None
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, max_losses=0)
    await stage.end(taken, lease_id, outcome)
    explanation = await explained(api, taken.task.id)
    assert holding(explanation) == ["finished"]
    facts = facts_of(explanation, "finished")
    assert (facts["end"], facts["reason"], facts["can_retry"]) == (end, reason, True)
    task = (await api.get(f"/tasks/{taken.task.id}")).json()
    assert facts["finished_at"] == task["finished_at"]
    if end != "succeeded":
        assert facts["error_type"] == task["error"]["type"]
    assert (await api.post(f"/tasks/{taken.task.id}/retry")).status_code == 200
    assert holding(await explained(api, taken.task.id)) != ["finished"]


async def test_an_expired_and_a_cancelled_end_are_distinguished(api: Served, stage: Stage) -> None:
    late = await stage.created(expires_at=stage.clock.now())
    await expire_waiting(stage.database)
    assert facts_of(await explained(api, late.id), "finished")["end"] == "expired"
    unwanted = await api.create()
    await api.post(f"/tasks/{unwanted['id']}/cancel")
    explanation = await explained(api, unwanted["id"])
    assert (explanation["status"], facts_of(explanation, "finished")["end"]) == (
        "cancelled",
        "cancelled",
    )


async def test_a_task_that_runs_names_its_worker_and_its_lease(api: Served, stage: Stage) -> None:
    recorder = Recorder()
    options = WorkerOptions(name="node-7")
    async with a_worker(stage, {"emulate": recorder.held}, options) as worker:
        task = await api.create(max_attempts=3, timeout_s=600)
        await recorder.has_begun(1)
        explanation = await explained(api, task["id"])
        assert holding(explanation) == ["running"]
        facts = facts_of(explanation, "running")
        assert (facts["worker"], facts["attempt"], facts["max_attempts"]) == ("node-7", 1, 3)
        assert facts["lease_id"] == str(worker.keeper.lease_id)
        started = (await api.get(f"/tasks/{task['id']}")).json()["started_at"]
        assert facts["started_at"] == started
        timeout_at = datetime.fromisoformat(facts["timeout_at"])
        assert timeout_at - datetime.fromisoformat(started) == timedelta(seconds=600)
        assert facts["heartbeat_at"] <= explanation["at"] < facts["lease_expires_at"]
        assert facts["cancel_requested_at"] is None
        recorder.may_end.set()


async def test_a_running_task_with_a_requested_cancel_shows_since_when(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    assert (await api.post(f"/tasks/{taken.task.id}/cancel")).status_code == 202
    explanation = await explained(api, taken.task.id)
    facts = facts_of(explanation, "running")
    requested = (await stage.service.events(taken.task.id))[-1]
    assert facts["cancel_requested"] is True
    assert datetime.fromisoformat(facts["cancel_requested_at"]) == requested.at
    assert "asked to stop" in explanation["summary"]


async def test_a_worker_that_fell_silent_is_reported_until_its_task_is_taken_back(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease(ttl_s=60, worker="node-3")
    taken = await stage.running(lease_id, max_losses=1)
    await age_leases(stage, 61)
    explanation = await explained(api, taken.task.id)
    assert holding(explanation) == ["lease_ended"]
    facts = facts_of(explanation, "lease_ended")
    assert (facts["lease"], facts["worker"], facts["next_status"]) == ("expired", "node-3", "new")
    await leases.close_expired(stage.database)
    facts = facts_of(await explained(api, taken.task.id), "lease_ended")
    assert (facts["lease"], facts["close_reason"]) == ("closed", "expired")
    await rescued(stage)
    assert holding(await explained(api, taken.task.id)) == ["no_worker"]


async def test_a_task_of_a_lease_that_is_gone_waits_for_its_rescue(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    await stage.sql.execute("DELETE FROM taskmill.lease")
    explanation = await explained(api, taken.task.id)
    assert facts_of(explanation, "lease_ended")["lease"] == "missing"
    assert holding(explanation) == ["lease_ended"]


async def test_a_rescue_that_does_not_come_means_that_maintenance_is_away(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease(ttl_s=60)
    taken = await stage.running(lease_id)
    await age_leases(stage, 200)
    explanation = await explained(api, taken.task.id)
    assert holding(explanation) == ["lease_ended", "maintenance_away"]
    assert "taskmill run maintenance" in explanation["todo"]
    facts = facts_of(explanation, "maintenance_away")
    assert facts["leases_to_close"] == 1
    since = datetime.fromisoformat(explanation["at"]) - datetime.fromisoformat(
        facts["overdue_since"]
    )
    # 200 s less what was left of the lease, its time to live again, and 10 s.
    assert timedelta(seconds=65) < since < timedelta(seconds=100)
    await rescued(stage)
    assert holding(await explained(api, taken.task.id)) == ["no_worker"]


async def test_a_task_without_its_row_in_dispatch_is_reported_as_damaged(
    api: Served, stage: Stage
) -> None:
    await stage.open_lease()
    task = await api.create()
    await stage.sql.execute("DELETE FROM taskmill.dispatch")
    explanation = await explained(api, task["id"])
    assert holding(explanation) == ["not_enqueued"]
    assert "taskmill verify" in explanation["todo"]


async def test_a_task_whose_history_is_gone_is_explained_nevertheless(
    api: Served, stage: Stage
) -> None:
    await stage.open_lease()
    task = await stage.created(run_at=stage.clock.now() + timedelta(minutes=1))
    await stage.sql.execute("DELETE FROM taskmill.task_event")
    facts = facts_of(await explained(api, task.id), "not_due")
    assert (facts["delay"], facts["reason"]) == ("scheduled", None)


async def test_a_paused_queue_holds_its_tasks_until_it_is_resumed(
    api: Served, stage: Stage
) -> None:
    await stage.open_lease()
    task = await api.create(queue="mail")
    paused = await api.http.patch("/queues/mail", json={"paused": True})
    explanation = await explained(api, task["id"])
    assert holding(explanation) == ["queue_paused"]
    assert facts_of(explanation, "queue_paused")["paused_at"] == paused.json()["paused_at"]
    assert explanation["todo"] == "`taskmill queue resume mail`"
    await api.http.patch("/queues/mail", json={"paused": False})
    assert holding(await explained(api, task["id"])) == ["not_claimed"]


async def test_a_scheduled_task_waits_for_its_time(api: Served, stage: Stage) -> None:
    await stage.open_lease()
    task = await api.create(delay_s=3600)
    explanation = await explained(api, task["id"])
    assert holding(explanation) == ["not_due"]
    facts = facts_of(explanation, "not_due")
    assert (facts["delay"], facts["run_at"]) == ("scheduled", task["run_at"])
    assert 3500 < facts["due_in_s"] <= 3600


@pytest.mark.parametrize(
    ("outcome", "why", "words"),
    [
        (
            Retry(error=ERROR, after=timedelta(minutes=5)),
            ("backoff", "retry_asked"),
            "Attempt 1 of 3 failed: ValueError: no such customer.",
        ),
        (
            Interrupted(reason=Reason.NO_HANDLER, after=timedelta(seconds=30)),
            ("handed_back", "no_handler"),
            "handed it back (no_handler)",
        ),
    ],
)
async def test_a_later_attempt_shows_what_it_waits_for(
    api: Served, stage: Stage, outcome: Outcome, why: tuple[str, str], words: str
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id, max_attempts=3)
    await stage.end(taken, lease_id, outcome)
    explanation = await explained(api, taken.task.id)
    assert holding(explanation) == ["not_due"]
    facts = facts_of(explanation, "not_due")
    assert (facts["delay"], facts["reason"]) == why
    assert words in explanation["summary"]


async def test_a_task_that_expires_shows_when_and_then_that_it_has(
    api: Served, stage: Stage
) -> None:
    await stage.open_lease()
    near = await stage.created(expires_at=stage.clock.now() + timedelta(minutes=1))
    explanation = await explained(api, near.id)
    assert holding(explanation) == ["not_claimed"]
    assert 0 < facts_of(explanation, "expired")["expires_in_s"] < 60
    late = await stage.created(expires_at=stage.clock.now())
    assert holding(await explained(api, late.id)) == ["expired"]
    later = await stage.created(expires_at=stage.clock.now() - timedelta(minutes=1))
    assert holding(await explained(api, later.id)) == ["expired", "maintenance_away"]


async def test_without_a_worker_a_task_waits_for_one(api: Served) -> None:
    task = await api.create()
    explanation = await explained(api, task["id"])
    assert holding(explanation) == ["no_worker"]
    assert (explanation["summary"], explanation["todo"]) == (
        "No worker lives.",
        "Start one: `taskmill run worker`.",
    )


async def test_a_type_or_queue_that_no_live_worker_serves_is_reported(
    api: Served, stage: Stage
) -> None:
    async with a_worker(
        stage, {"mail.send": Recorder().quick}, WorkerOptions(name="node-2", queues=("mail",))
    ) as worker:
        await worker.has_lease()
        wrong_type = await api.create(queue="mail", type="report")
        explanation = await explained(api, wrong_type["id"])
        assert holding(explanation) == ["no_worker"]
        assert "TASKMILL_EMULATION__TYPES=report" in explanation["todo"]
        [alive] = facts_of(explanation, "no_worker")["workers"]
        assert (alive["name"], alive["queues"], alive["types"]) == (
            "node-2",
            ["mail"],
            ["mail.send"],
        )
        wrong_queue = await api.create(queue="reports", type="mail.send")
        explanation = await explained(api, wrong_queue["id"])
        assert holding(explanation) == ["no_worker"]
        assert "TASKMILL_WORKER__QUEUES=reports" in explanation["todo"]
    assert facts_of(await explained(api, wrong_type["id"]), "no_worker")["workers_alive"] == 0


async def test_a_broker_that_is_away_blocks_only_tasks_that_need_it(stage: Stage) -> None:
    await stage.open_lease()
    task = await stage.created()
    link = BrokerLink(unused_url().replace("http", "amqp"), name="watch")
    stop = asyncio.Event()
    async with (
        seeing_a_broker(stage, policy="rabbitmq", link=link) as strict,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(link.run(stop))

        async def is_refused() -> bool:
            return link.trouble != "not connected yet"

        await eventually(is_refused, "the broker to be missed")
        explanation = await explained(strict, task.id)
        stop.set()
    assert holding(explanation) == ["broker_away"]
    facts = facts_of(explanation, "broker_away")
    assert (facts["state"], facts["policy"]) == ("away", "rabbitmq")
    assert facts["trouble"]
    async with seeing_a_broker(stage, policy="auto", trouble="refused") as lenient:
        assert holding(await explained(lenient, task.id)) == ["not_claimed"]


async def test_taken_slots_are_reported_as_they_are_now(api: Served, stage: Stage) -> None:
    recorder = Recorder()
    async with a_worker(stage, {"emulate": recorder.held}, WorkerOptions(slots=1, ttl_s=60)):
        await api.create()
        await recorder.has_begun(1)
        task = await api.create()
        explanation = await explained(api, task["id"])
        assert holding(explanation) == ["no_free_slot"]
        assert facts_of(explanation, "no_free_slot") == {
            "slots": 1,
            "running": 1,
            "is_counted": True,
        }
        # The lease's row has the state of its last renewal.
        assert await stage.sql.fetchval("SELECT running FROM taskmill.lease") == 0
        recorder.may_end.set()


async def test_more_running_tasks_than_are_counted_are_taken_from_the_workers(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_snapshot, "_MOST_RUNNING", 2)
    lease_id = await stage.open_lease()
    await stage.running(lease_id)
    await stage.running(lease_id)
    await stage.sql.execute("UPDATE taskmill.lease SET running = slots")
    task = await stage.created()
    facts = facts_of(await explained(api, task.id), "no_free_slot")
    assert facts == {"slots": 100, "running": 100, "is_counted": False}


async def test_more_urgent_tasks_are_counted_and_no_others(api: Served, stage: Stage) -> None:
    await a_lease(stage, slots=3, types="emulate,report")
    for parts in (
        {"priority": 9},
        {"priority": 5, "type": "report"},
        {"priority": 4},
        {"priority": 4, "type": "report"},
    ):
        await stage.created(**parts)
    task = await stage.created(priority=4)
    for parts in (
        {"priority": 4},
        {"priority": 3},
        {"priority": 9, "type": "elsewhere"},
        {"priority": 9, "queue": "other"},
        {"priority": 9, "run_at": stage.clock.now() + timedelta(minutes=1)},
    ):
        await stage.created(**parts)
    explanation = await explained(api, task.id)
    assert holding(explanation) == ["tasks_ahead"]
    facts = facts_of(explanation, "tasks_ahead")
    assert (facts["ahead"], facts["is_more"], facts["free_slots"]) == (4, False, 3)
    assert (facts["claimed_per_second"], facts["about_s"]) == (0, None)
    first = await stage.service.page(TaskFilter(), PageRequest(oldest_first=True, limit=1))
    assert facts_of(await explained(api, first.items[0].id), "tasks_ahead")["ahead"] == 0


async def test_counting_ends_at_a_limit_and_shows_that(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_snapshot, "MOST_AHEAD", 5)
    await a_lease(stage, slots=2)
    await stage.service.create_all([a_draft(priority=n % 10) for n in range(20)])
    task = await stage.created(priority=0)
    facts = facts_of(await explained(api, task.id), "tasks_ahead")
    assert (facts["ahead"], facts["is_more"]) == (5, True)
    monkeypatch.setattr(explain_snapshot, "MOST_AHEAD", 1000)
    monkeypatch.setattr(explain_snapshot, "_MOST_BUCKETS", 3)
    facts = facts_of(await explained(api, task.id), "tasks_ahead")
    assert (facts["ahead"], facts["is_more"]) == (6, True)


async def test_a_count_that_takes_too_long_is_abandoned(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_snapshot, "MOST_AHEAD", 1_000_000)
    monkeypatch.setattr(explain_snapshot, "_LIMIT_TIME", "SET LOCAL statement_timeout = '2ms'")
    await a_lease(stage)
    task = await stage.created()
    await stage.sql.execute("""
        INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
        SELECT gen_random_uuid(), 'default', 'emulate', 9, now() FROM generate_series(1, 100000)
    """)
    explanation = await explained(api, task.id)
    assert holding(explanation) == ["tasks_ahead"]
    assert facts_of(explanation, "tasks_ahead")["ahead"] is None
    assert "than could be counted in time" in explanation["summary"]


async def test_a_task_has_to_be_released_to_the_broker_and_then_claimed(stage: Stage) -> None:
    await stage.open_lease()
    task = await stage.created()
    async with seeing_a_broker(stage, policy="auto") as served:
        assert holding(await explained(served, task.id)) == ["not_released"]
        await released(stage)
        explanation = await explained(served, task.id)
        assert holding(explanation) == ["not_claimed"]
        facts = facts_of(explanation, "not_released")
        released_at = datetime.fromisoformat(facts["released_at"])
        assert datetime.fromisoformat(facts["hint_valid_until"]) == released_at + HINT_LIFE
        await stage.sql.execute(
            "UPDATE taskmill.dispatch SET released_at = released_at - interval '11 s'"
        )
        explanation = await explained(served, task.id)
        assert holding(explanation) == ["not_released"]
        assert "ran out" in explanation["summary"]


async def released(stage: Stage) -> None:
    """Release what is due, as the relay does."""
    bucket = Bucket(queue="default", type="emulate", priority=4)
    stream = HintQueue(queue="default", type="emulate")
    done = await releases.release(
        stage.database, stream, release_limit=200, most=10, life_s=10, buckets=[(bucket, None)]
    )
    assert len(done.task_ids) == 1


async def test_a_task_that_nothing_keeps_is_claimed_next(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    task = await stage.created()
    explanation = await explained(api, task.id)
    assert (explanation["status"], holding(explanation)) == ("new", ["not_claimed"])
    assert 0 <= facts_of(explanation, "not_claimed")["ready_for_s"] < 15
    assert len(await stage.take(lease_id)) == 1
    assert holding(await explained(api, task.id)) == ["running"]


async def test_all_facts_are_of_one_moment(stage: Stage) -> None:
    lease_id = await stage.open_lease()
    task = await stage.created()
    broker = stage.service._broker
    seen: list[tuple[ExplainSnapshot, QueuePosition]] = []
    async with stage.database.snapshot() as connection:
        for _ in range(2):
            found = await explain_snapshot.read(
                connection, task.id, broker=broker.state(), hint_life=broker.hint_life
            )
            assert found is not None
            seen.append((found, await explain_snapshot.read_position(connection, found)))
            await stage.take(lease_id)
            await stage.created(priority=9)
    assert seen[0] == seen[1]
    assert (await stage.task(task.id)).status == "in_progress"


async def test_a_snapshot_writes_nothing_and_its_connection_serves_the_next(
    api: Served, stage: Stage
) -> None:
    task = await stage.created()
    with pytest.raises(Unavailable) as refused:
        async with stage.database.snapshot() as connection:
            await connection.execute("DELETE FROM taskmill.dispatch")
    assert isinstance(refused.value.__cause__, asyncpg.ReadOnlySQLTransactionError)
    for _ in range(5):
        assert holding(await explained(api, task.id)) == ["no_worker"]
        assert (await api.get("/tasks")).status_code == 200


async def test_a_connection_whose_rollback_is_cut_off_is_not_used_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, is_ending = asyncpg.Connection.execute, asyncio.Event()

    async def slowly(self: asyncpg.Connection, query: str, *others: Any, **more: Any) -> str:  # noqa: ANN401 - as the driver's
        if query == "ROLLBACK":
            is_ending.set()
            await asyncio.Event().wait()
        return await execute(self, query, *others, **more)

    async def read() -> None:
        async with stage.database.snapshot():
            raise TaskNotFound(stage.ids())

    monkeypatch.setattr(asyncpg.Connection, "execute", slowly)
    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        await is_ending.wait()
        reading.cancel()
    monkeypatch.undo()
    for _ in range(4):
        async with stage.database.listing() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1


async def test_connections_that_the_server_ended_are_skipped(api: Served, stage: Stage) -> None:
    task = await stage.created()
    await explained(api, task.id)
    for _ in range(3):
        await stage.sql.execute("""
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
        """)

        async def are_ended() -> bool:
            left: int = await stage.sql.fetchval("""
                SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
            return left == 0

        await eventually(are_ended, "the connections to end")
        assert holding(await explained(api, task.id)) == ["no_worker"]


async def test_a_request_that_takes_too_long_leaves_no_connection_behind(stage: Stage) -> None:
    task = await stage.created()
    limits = LimitSettings(request_timeout_s=0.3)
    async with serving(stage.service, Settings(limits=limits)) as served:
        async with stage.sql.transaction():
            await stage.sql.execute("LOCK TABLE taskmill.dispatch IN ACCESS EXCLUSIVE MODE")
            for _ in range(3):  # more than there are connections
                late = await served.get(f"/tasks/{task.id}/explain")
                assert (late.status_code, late.headers["retry-after"]) == (503, "1")
        assert holding(await explained(served, task.id)) == ["no_worker"]


@pytest.mark.parametrize(
    ("path", "status", "problem"),
    [
        ("/tasks/01970000-0000-7000-8000-000000000000/explain", 404, "task-not-found"),
        ("/tasks/{id}/explain?verbose=1", 422, "invalid-input"),
        ("/tasks/{id}/explain?x=%00", 422, "invalid-input"),
        ("/tasks/{id}/explain?x=%ff", 400, "bad-request"),
        ("/tasks/7/explain", 404, "task-not-found"),
        ("/tasks/-7/explain", 422, "invalid-input"),
        ("/tasks/%00/explain", 422, "invalid-input"),
        ("/tasks/' OR 1=1/explain", 422, "invalid-input"),
        ("/tasks/{{id}}/explain", 422, "invalid-input"),
        ("/tasks/batch/explain", 422, "invalid-input"),
        ("/tasks/%ff/explain", 400, "bad-request"),
        ("/tasks/{id}/explain/", 404, "not-found"),
    ],
)
async def test_what_is_no_valid_request_is_refused(
    api: Served, stage: Stage, path: str, status: int, problem: str
) -> None:
    task = await stage.created()
    refused = await api.get(path.replace("{id}", str(task.id)))
    assert (refused.status_code, refused.json()["type"]) == (status, f"/problems/{problem}")
    assert refused.headers["content-type"] == "application/problem+json"


async def test_an_explanation_can_only_be_read(api: Served, stage: Stage) -> None:
    task = await stage.created()
    refused = await api.post(f"/tasks/{task.id}/explain", b"{}")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_the_message_of_a_handler_s_error_is_shown_unchanged(
    api: Served, stage: Stage
) -> None:
    lease_id = await stage.open_lease()
    taken = await stage.running(lease_id)
    hostile = ErrorInfo(type='"}<script>', message="\x1b[2J\u202e\n" * 2000)
    await stage.end(taken, lease_id, Failed(error=hostile))
    explanation = await explained(api, taken.task.id)
    assert facts_of(explanation, "finished")["error_message"] == hostile.message
    assert len(explanation["summary"]) < 400
