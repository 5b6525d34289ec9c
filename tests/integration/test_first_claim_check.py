"""Tasks from SQL are validated by the contract of their type once, at their first claim."""

import asyncio
from typing import Any
from uuid import UUID

import orjson
import pytest

from taskmill.app import Context, RetryLater
from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import Interrupted, Lost, Status
from taskmill.wire.problems import problem_json
from taskmill.wire.tasks import to_draft
from tests.support.api import LogLines, Served
from tests.support.contracts import NEEDS_TO, TYPE, a_contract, limits_of, registered
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.verifying import found_in
from tests.support.workers import a_worker, finished

BAD = {"to": 5, "copies": 0}
GOOD = {"to": "ann"}


class Seen:
    """A handler that records which tasks it gets."""

    def __init__(self) -> None:
        self.ids: list[UUID] = []

    async def __call__(self, context: Context) -> object:
        self.ids.append(context.task.id)
        return None


async def from_sql(stage: Stage, payload: object = BAD, **arguments: Any) -> UUID:  # noqa: ANN401 - the function's
    """Create a task of the type, which has no contract yet."""
    given = {"name": "x", "type": TYPE, **arguments}
    called = ", ".join(f"{name} => ${number}" for number, name in enumerate(given, 2))
    made: UUID = await stage.sql.fetchval(
        f"SELECT taskmill.create_task(payload => $1::text::json, {called})",
        None if payload is None else orjson.dumps(payload).decode(),
        *given.values(),
    )
    return made


async def refusal_over_http(stage: Stage, payload: object = BAD) -> str:
    """Register the contract and return the problem's detail of a refused request."""
    known = await registered(stage, a_contract(NEEDS_TO))
    body = {"name": "x", "type": TYPE, "payload": payload}
    with pytest.raises(InvalidInput) as caught:
        to_draft(body, source="rest", limits=limits_of(known))
    detail: str = orjson.loads(problem_json(caught.value)[2])["detail"]
    return detail


async def failed_with(stage: Stage, task_id: UUID, detail: str) -> None:
    """Check that the task has failed for good at its first claim, with this message."""
    task = await finished(stage, task_id)
    assert task.status is Status.FAILED
    assert orjson.loads(task.error or "") == {"type": "PayloadRefused", "message": detail}
    [event] = (await stage.service.reading.events(task_id))[2:]
    assert (event.event_type, event.reason, event.attempt) == ("failed", "payload_refused", 1)
    await assert_safe(stage.sql)
    assert await found_in(stage.database) == {}


async def test_a_worker_fails_an_invalid_task_without_running_it(stage: Stage) -> None:
    """By the contract that is current then, with the API's message, however many attempts there are."""
    bad, good = await from_sql(stage, max_attempts=5), await from_sql(stage, GOOD)
    detail, seen = await refusal_over_http(stage), Seen()
    async with a_worker(stage, {TYPE: seen}):
        await failed_with(stage, bad, detail)
        assert (await finished(stage, good)).status is Status.SUCCEEDED
    assert seen.ids == [good]


async def test_a_missing_payload_counts_as_an_empty_object(stage: Stage) -> None:
    task_id = await from_sql(stage, None)
    detail = await refusal_over_http(stage, None)
    async with a_worker(stage, {TYPE: Seen()}):
        await failed_with(stage, task_id, detail)


async def test_a_lease_has_only_valid_tasks(stage: Stage, api: Served) -> None:
    bad, good = await from_sql(stage), await from_sql(stage, GOOD)
    detail = await refusal_over_http(stage)
    response = await api.post(
        "/leases", {"worker": "w", "types": [TYPE], "limit": 10, "wait_s": 10}
    )
    assert response.status_code == 201, response.text
    assert [task["id"] for task in response.json()["tasks"]] == [str(good)]
    task = await stage.task(bad)
    assert (task.status, orjson.loads(task.error or "")["message"]) == (Status.FAILED, detail)
    assert (await stage.service.reading.events(bad))[-1].reason == "payload_refused"
    await assert_safe(stage.sql)


async def test_a_call_keeps_waiting_when_no_task_is_valid(stage: Stage, api: Served) -> None:
    bad = await from_sql(stage)
    await refusal_over_http(stage)
    async with asyncio.TaskGroup() as group:
        body = {"worker": "w", "types": [TYPE], "wait_s": 20}
        call = group.create_task(api.post("/leases", body))
        await finished(stage, bad)
        good = await from_sql(stage, GOOD)
    assert [task["id"] for task in call.result().json()["tasks"]] == [str(good)]
    closed = "SELECT count(*) FROM taskmill.lease WHERE remote AND closed_at IS NULL"
    assert await stage.sql.fetchval(closed) == 1
    await assert_safe(stage.sql)


@pytest.mark.parametrize("outcome", [Lost(), Interrupted()], ids=["lost", "handed_back"])
async def test_an_unfinished_first_claim_leaves_the_check_to_the_next(
    stage: Stage, outcome: Lost | Interrupted
) -> None:
    task_id = await from_sql(stage)
    detail, lease_id = await refusal_over_http(stage), await stage.open_lease()
    [taken] = await stage.take(lease_id)
    assert taken.task.is_unchecked
    await stage.end(taken, lease_id, outcome)
    seen = Seen()
    async with a_worker(stage, {TYPE: seen}):
        task = await finished(stage, task_id)
    assert orjson.loads(task.error or "")["message"] == detail
    assert not seen.ids


async def test_after_a_spent_attempt_there_is_no_check(stage: Stage) -> None:
    """Neither a retry nor an operator's new run is checked again: the contract may have changed meanwhile."""
    claims: list[bool] = []

    async def later(context: Context) -> object:
        claims.append(context.task.is_unchecked)
        if len(claims) == 1:
            await registered(stage, a_contract(NEEDS_TO))
            raise RetryLater("again")
        return None

    task_id = await from_sql(stage, max_attempts=2)
    async with a_worker(stage, {TYPE: later}):
        assert (await finished(stage, task_id)).status is Status.SUCCEEDED
        await stage.service.retry(task_id)

        async def ran_again() -> bool:
            return len(claims) == 3

        await eventually(ran_again, "a second run")
        assert (await finished(stage, task_id)).status is Status.SUCCEEDED
    assert claims == [True, False, False]


async def test_tasks_of_other_entry_points_are_never_checked_again(stage: Stage) -> None:
    task = await stage.created(type=TYPE, payload=BAD)
    await registered(stage, a_contract(NEEDS_TO))
    async with a_worker(stage, {TYPE: Seen()}):
        assert (await finished(stage, task.id)).status is Status.SUCCEEDED


async def test_a_dropped_contract_refuses_nothing(stage: Stage) -> None:
    """Even when the worker has read it a moment ago."""
    first = await from_sql(stage)
    known, seen = await registered(stage, a_contract(NEEDS_TO)), Seen()
    async with a_worker(stage, {TYPE: seen}):
        await finished(stage, first)
        await known.drop(TYPE)
        second = await from_sql(stage)
        assert (await finished(stage, second)).status is Status.SUCCEEDED
    assert seen.ids == [second]


async def test_a_contract_that_no_longer_compiles_lets_every_payload_pass(
    stage: Stage, api: Served, log_lines: LogLines
) -> None:
    """At every entry point, and at the first claim: the handler decides. It is logged once."""
    await registered(stage, a_contract(NEEDS_TO))
    update = "UPDATE taskmill.type_contract SET schema = $1::text::json"
    await stage.sql.execute(update, '{"type": "int"}')
    await stage.sql.execute("UPDATE taskmill.contract_revision SET revision = revision + 1")
    await stage.service.contracts.refresh()
    task_id = await from_sql(stage)
    response = await api.post("/tasks", {"name": "x", "type": TYPE, "payload": BAD})
    assert response.status_code == 201, response.text
    [line] = log_lines.named("contract.unusable")
    assert (line["type"], line["version"]) == (TYPE, 1)
    assert "/payload_schema/type" in line["error"]
    async with a_worker(stage, {TYPE: Seen()}):
        assert (await finished(stage, task_id)).status is Status.SUCCEEDED
    assert (await api.get(f"/types/{TYPE}")).status_code == 200
    assert (await api.get("/openapi.json")).status_code == 200


@pytest.mark.parametrize(
    ("task_type", "payload", "words"),
    [
        ("emulate", '{"delay_s": -1}', "/payload/delay_s: expected a number of seconds"),
        ("http", None, "/payload: expected an object that has at least a url"),
        ("http", '{"url": "http://127.1/"}', "/payload/url: expected an absolute"),
        ("free", '{"a": 1, "a": 2}', 'the key "a" is twice'),
        ("free", '{"a": 9223372036854775808}', "does not fit in 64 bits"),
    ],
)
async def test_a_built_in_type_is_checked_too(
    stage: Stage, task_type: str, payload: str | None, words: str
) -> None:
    query = "SELECT taskmill.create_task('x', type => $1, payload => $2::text::json)"
    task_id = await stage.sql.fetchval(query, task_type, payload)
    seen = Seen()
    async with a_worker(stage, {task_type: seen}):
        task = await finished(stage, task_id)
    assert words in orjson.loads(task.error or "")["message"]
    assert not seen.ids


async def test_a_task_waits_while_contracts_can_not_be_read(stage: Stage) -> None:
    """It costs neither an attempt nor a loss, and does not count for the task's timeout."""
    task_id = await from_sql(stage, timeout_s=2.0)
    seen = Seen()
    lock = "BEGIN; LOCK TABLE taskmill.contract_revision IN ACCESS EXCLUSIVE MODE"
    await stage.sql.execute(lock)
    async with a_worker(stage, {TYPE: seen}):

        async def handed_back() -> bool:
            query = "SELECT count(*) FROM taskmill.task_event WHERE reason = 'contract_unread'"
            return bool(await stage.sql.fetchval(query))

        await eventually(handed_back, "a task that is handed back")
        assert not seen.ids
        await stage.sql.execute("COMMIT")
        task = await finished(stage, task_id)
    assert (task.status, task.attempt, task.losses) == (Status.SUCCEEDED, 1, 0)
    await assert_safe(stage.sql)
