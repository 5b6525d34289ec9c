"""A task without a policy takes that of its type at its first claim, in the statement that claims it."""

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest

from taskmill.composition.registration import Registration
from taskmill.domain.contracts import TypeContract
from taskmill.domain.lifecycle import Failed, Interrupted, Reason, Status
from taskmill.domain.retry import RetryPolicy
from taskmill.domain.task import Task
from taskmill.operations.contracts import Contracts
from taskmill.storage.claims import TakenTask
from taskmill.wire.tasks import to_draft
from tests.support.builders import ERROR
from tests.support.contracts import limits_of, registered
from tests.support.dispatching import Recorder, all_ended
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.verifying import found_in
from tests.support.workers import a_worker

TYPE = "a-type"
POLICY: dict[str, Any] = {
    "max_attempts": 5,
    "max_losses": 7,
    "retry": {"base_s": 2.0, "factor": 3.0, "max_s": 60.0, "jitter": 0.0},
    "timeout_s": 9.5,
}
SERVICE = {"max_attempts": 1, "max_losses": 3, "retry": None, "timeout_s": None}
EXPLICIT = {"max_attempts": 2, "max_losses": 1, "retry": None, "timeout_s": 3.0}


def policy_of(task: Task) -> dict[str, Any]:
    return {
        "max_attempts": task.max_attempts,
        "max_losses": task.max_losses,
        "retry": None if task.retry is None else orjson.loads(task.retry),
        "timeout_s": None if task.timeout is None else task.timeout.total_seconds(),
    }


async def registers(stage: Stage, **policy: Any) -> Contracts:  # noqa: ANN401 - the fields of defaults
    contract = TypeContract(type=TYPE, schema="{}", defaults=policy or POLICY)
    return await registered(stage, contract)


async def created(stage: Stage, **given: Any) -> Task:  # noqa: ANN401 - the fields of a request
    draft = to_draft({"name": "x", "type": TYPE, **given}, source="rest")
    return (await stage.creation.create(draft)).task


async def claimed(stage: Stage, task: Task) -> TakenTask:
    [taken] = await stage.take(await stage.open_lease())
    assert taken.task.id == task.id
    return taken


async def test_the_first_claim_takes_the_policy_that_the_type_has_by_then(stage: Stage) -> None:
    task = await created(stage)
    assert policy_of(task) == SERVICE
    await registers(stage)
    taken = await claimed(stage, task)
    assert (taken.task.max_attempts, taken.task.max_losses) == (5, 7)
    assert taken.task.timeout == timedelta(seconds=9.5)
    assert taken.task.retry == RetryPolicy(
        base=timedelta(seconds=2), factor=3, maximum=timedelta(seconds=60), jitter=0
    )
    assert policy_of(await stage.task(task.id)) == POLICY
    event = (await stage.service.reading.events(task.id))[-1]
    assert (event.event_type, event.reason) == ("claimed", "type_policy")
    await assert_safe(stage.sql)
    assert await found_in(stage.database) == {}


@pytest.mark.parametrize("given", [{name: value} for name, value in EXPLICIT.items()] + [EXPLICIT])
async def test_values_of_the_request_stay(stage: Stage, given: dict[str, Any]) -> None:
    """Also a null, which means the service's policy, or no timeout."""
    task = await created(stage, **given)
    await registers(stage)
    await claimed(stage, task)
    assert policy_of(await stage.task(task.id)) == POLICY | given


async def test_values_without_a_default_of_the_type_stay_the_services(stage: Stage) -> None:
    task = await created(stage)
    await registers(stage, max_attempts=4)
    await claimed(stage, task)
    assert policy_of(await stage.task(task.id)) == SERVICE | {"max_attempts": 4}


async def test_later_claims_set_no_policy(stage: Stage) -> None:
    """A claim that found no policy was still the first."""
    task = await created(stage)
    taken = await claimed(stage, task)
    lease_id = await stage.sql.fetchval("SELECT lease_id FROM taskmill.current_task")
    await stage.end(taken, lease_id, Interrupted(reason=Reason.WORKER_STOPPED))
    await registers(stage)
    again = await claimed(stage, task)
    assert again.task.max_attempts == 1
    assert policy_of(await stage.task(task.id)) == SERVICE
    assert [
        event.reason
        for event in await stage.service.reading.events(task.id)
        if event.event_type == "claimed"
    ] == [
        None,
        None,
    ]


async def test_a_task_that_took_its_policy_when_it_was_created_keeps_it(stage: Stage) -> None:
    known = await registers(stage)
    draft = to_draft({"name": "x", "type": TYPE}, source="rest", limits=limits_of(known))
    task = (await stage.creation.create(draft)).task
    await registers(stage, max_attempts=9)
    assert (await claimed(stage, task)).task.max_attempts == 5
    assert (await stage.service.reading.events(task.id))[-1].reason is None


async def test_the_attempts_of_a_run_are_those_of_the_policy_taken(stage: Stage) -> None:
    task = await created(stage)
    await registers(stage, max_attempts=3, retry={"base_s": 0})
    for attempt in (1, 2, 3):
        taken = await claimed(stage, task)
        assert (taken.task.attempt, taken.task.max_attempts) == (attempt, 3)
        lease_id = await stage.sql.fetchval("SELECT lease_id FROM taskmill.current_task")
        await stage.end(taken, lease_id, Failed(error=ERROR))
    assert (await stage.task(task.id)).status is Status.FAILED
    await assert_safe(stage.sql)


async def test_a_task_from_sql_takes_the_policy_as_well(stage: Stage) -> None:
    ids = [
        await stage.sql.fetchval(
            "SELECT taskmill.create_task(name => 'x', type => $1, max_losses => $2, retry => $3::json)",
            TYPE,
            max_losses,
            retry,
        )
        for max_losses, retry in ((None, None), (2, "null"))
    ]
    await registers(stage)
    taken = await stage.take(await stage.open_lease())
    assert [one.task.id for one in taken] == ids
    assert policy_of(await stage.task(ids[0])) == POLICY
    assert policy_of(await stage.task(ids[1])) == POLICY | {"max_losses": 2}


async def test_built_in_types_have_nothing_to_take(stage: Stage) -> None:
    for body in (
        {"name": "x"},
        {"name": "x", "type": "http", "payload": {"url": "http://a.example/"}},
    ):
        assert to_draft(body, source="rest").open_policy == 0
        await stage.creation.create(to_draft(body, source="rest"))
    await stage.sql.fetchval("SELECT taskmill.create_task(name => 'x')")
    rows = await stage.sql.fetch("SELECT open_policy FROM taskmill.task")
    assert {row["open_policy"] for row in rows} == {None}


class Late(Registration):
    """A slow registration."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - those of a registration
        super().__init__(*arguments)
        self.may_go_on = asyncio.Event()

    async def register_until(self, stop: asyncio.Event) -> None:
        await self.may_go_on.wait()
        await super().register_until(stop)


async def test_a_worker_claims_when_its_types_are_registered(stage: Stage) -> None:
    task, recorder = await created(stage), Recorder()
    contract = TypeContract(type=TYPE, schema="{}", defaults={"max_attempts": 4})
    registration, stop = Late(stage.database, "w", [contract]), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(registration.register_until(stop))
        waiting = group.create_task(registration.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        registration.may_go_on.set()
        await waiting
        async with a_worker(stage, {TYPE: recorder.quick}):
            await all_ended(stage)
    assert (await stage.task(task.id)).max_attempts == 4
