"""Why a task waits: each blocker with a real task in that state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from taskmill.amqp.connection import BrokerLink
from taskmill.domain.lifecycle import Interrupted, Outcome, Reason, Retry
from taskmill.operations.broker import BrokerWatch
from taskmill.operations.read import TaskReading
from taskmill.operations.service import TaskService
from tests.support.api import Served, serving
from tests.support.builders import ERROR
from tests.support.dispatching import Recorder
from tests.support.explanations import explained, facts_of, holding
from tests.support.fake_service import unused_url
from tests.support.polling import eventually
from tests.support.stage import Stage, a_creation, a_rejections
from tests.support.workers import WorkerOptions, a_worker


@asynccontextmanager
async def seeing_a_broker(
    stage: Stage, *, policy: str, trouble: str | None = None, link: BrokerLink | None = None
) -> AsyncIterator[Served]:
    """Serve with a broker that is reached, or away for a reason, or in the state of a link."""
    watch = BrokerWatch(
        policy=policy,
        trouble=(lambda: trouble) if link is None else (lambda: link.trouble),
    )
    creation = a_creation(stage.database, stage.clock, stage.ids)
    refused = a_rejections(stage.database, creation, stage.ids)
    async with (
        creation,
        TaskReading(stage.database) as reading,
        serving(TaskService(stage.database, creation, reading, refused, broker=watch)) as served,
    ):
        yield served


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
            ("backoff", "retry_requested"),
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


async def test_a_task_that_nothing_keeps_is_claimed_next(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    task = await stage.created()
    explanation = await explained(api, task.id)
    assert (explanation["status"], holding(explanation)) == ("new", ["not_claimed"])
    assert 0 <= facts_of(explanation, "not_claimed")["ready_for_s"] < 15
    assert len(await stage.take(lease_id)) == 1
    assert holding(await explained(api, task.id)) == ["running"]
