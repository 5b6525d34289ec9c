"""The worker as a whole: what handlers do decides how tasks end."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NoReturn
from uuid import UUID

import asyncpg
import orjson
import pytest

from taskmill.app import Context, PermanentFailure, RetryLater
from taskmill.domain.lifecycle import Status
from taskmill.domain.task import Task
from tests.support.builders import a_draft
from tests.support.polling import eventually
from tests.support.safety import assert_safe
from tests.support.stage import Stage
from tests.support.workers import WorkerOptions, a_worker, finished

Payload = Mapping[str, Any]


def error_of(task: Task) -> dict[str, str]:
    """The error of a task without its place, which is in this file."""
    error: dict[str, str] = orjson.loads(task.error or "{}")
    assert error.pop("place", __name__).startswith(__name__)
    return error


async def test_a_handler_gets_its_payload_and_its_result_is_stored(stage: Stage) -> None:
    seen: list[Context] = []

    async def double(context: Context) -> object:
        payload = context.payload
        seen.append(context)
        return {"doubled": payload["n"] * 2}

    async with a_worker(stage, {"double": double}) as running:
        made = await stage.created(type="double", payload={"n": 21})
        task = await finished(stage, made.id)
        lease_id = running.keeper.lease_id
    assert (task.status, task.result) == (Status.SUCCEEDED, '{"doubled":42}')
    [context] = seen
    assert (context.attempt, context.fence.claim_no) == (1, 1)
    assert (context.fence.task_id, context.fence.lease_id) == (made.id, lease_id)
    context.logger.info("handler.said")
    assert await stage.event_types(made.id) == ["created", "claimed", "succeeded"]
    await assert_safe(stage.sql)


async def test_a_handler_that_returns_nothing_succeeds_without_a_result(stage: Stage) -> None:
    async def nothing(_: Context) -> object:
        return None

    async with a_worker(stage, {"emulate": nothing}):
        task = await finished(stage, (await stage.created()).id)
    assert (task.status, task.result) == (Status.SUCCEEDED, None)


async def test_a_failure_is_tried_again_until_it_succeeds(stage: Stage) -> None:
    async def third_time(context: Context) -> object:
        if context.attempt < 3:
            raise ValueError(f"not in attempt {context.attempt}")
        return "done"

    async with a_worker(stage, {"*": third_time}):
        task = await finished(stage, (await stage.created(max_attempts=5)).id)
    assert (task.status, task.attempt, task.error) == (Status.SUCCEEDED, 3, None)
    await assert_safe(stage.sql)


async def test_the_last_failure_is_the_tasks_error(stage: Stage) -> None:
    async def fails(context: Context) -> NoReturn:
        raise KeyError(f"attempt {context.attempt}")

    async with a_worker(stage, {"*": fails}):
        task = await finished(stage, (await stage.created(max_attempts=2)).id)
    assert (task.status, task.attempt) == (Status.FAILED, 2)
    assert error_of(task) == {"type": "KeyError", "message": "'attempt 2'"}
    await assert_safe(stage.sql)


async def test_a_permanent_failure_is_not_tried_again(stage: Stage) -> None:
    async def fails(_: Context) -> NoReturn:
        raise PermanentFailure("the customer is gone")

    async with a_worker(stage, {"*": fails}):
        task = await finished(stage, (await stage.created(max_attempts=5)).id)
    assert (task.status, task.attempt) == (Status.FAILED, 1)
    assert error_of(task) == {"type": "PermanentFailure", "message": "the customer is gone"}


async def test_a_handler_decides_when_to_retry(stage: Stage) -> None:
    async def later(_: Context) -> NoReturn:
        raise RetryLater("busy", after=timedelta(hours=2))

    async with a_worker(stage, {"*": later}):
        made = await stage.created(max_attempts=2)

        async def probe() -> Task | None:
            task = await stage.task(made.id)
            return task if task.version == 3 else None

        task = await eventually(probe, "the end of the attempt")
    assert task is not None
    assert (task.status, error_of(task)["message"]) == (Status.NEW, "busy")
    assert timedelta(hours=1.9) < task.run_at - made.run_at < timedelta(hours=2.1)


async def test_an_attempt_ends_when_its_time_is_over(stage: Stage) -> None:
    was_cancelled = asyncio.Event()

    async def endless(_: Context) -> object:
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            was_cancelled.set()
            raise

    async with a_worker(stage, {"*": endless}):
        made = await stage.created(timeout=timedelta(milliseconds=50))
        task = await finished(stage, made.id)
    assert was_cancelled.is_set()
    assert error_of(task) == {"type": "Timeout", "message": "the attempt ran longer than 0.05 s"}
    assert (await stage.service.reading.events(made.id))[-1].reason == "timeout"


async def test_a_timeout_inside_a_handler_is_an_error_like_any_other(stage: Stage) -> None:
    async def impatient(_: Context) -> NoReturn:
        raise TimeoutError("the printer did not answer")

    async with a_worker(stage, {"*": impatient}):
        made = await stage.created(timeout=timedelta(hours=1))
        task = await finished(stage, made.id)
    assert error_of(task) == {"type": "TimeoutError", "message": "the printer did not answer"}
    assert (await stage.service.reading.events(made.id))[-1].reason == "error"


class Unspeakable(Exception):
    """An exception whose message can't be read."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ValueError("a\x00b"), {"type": "ValueError", "message": "a\\x00b"}),
        (ValueError("\ud800!"), {"type": "ValueError", "message": "\\ud800!"}),
        (ValueError(""), {"type": "ValueError", "message": ""}),
        (
            Unspeakable(),
            {"type": "Unspeakable", "message": "the message can't be shown: RuntimeError"},
        ),
        (asyncio.CancelledError("inner"), {"type": "CancelledError", "message": "inner"}),
    ],
)
async def test_whatever_a_handler_raises_becomes_the_tasks_error(
    stage: Stage, raised: BaseException, expected: dict[str, str]
) -> None:
    async def raises(_: Context) -> NoReturn:
        raise raised

    async with a_worker(stage, {"*": raises}):
        task = await finished(stage, (await stage.created()).id)
    assert task.status is Status.FAILED
    assert error_of(task) == expected
    await assert_safe(stage.sql)


async def test_an_endless_message_is_cut(stage: Stage) -> None:
    async def raises(_: Context) -> NoReturn:
        raise ValueError("x" * 1_000_000)

    async with a_worker(stage, {"*": raises}):
        task = await finished(stage, (await stage.created()).id)
    assert error_of(task)["message"] == "x" * 9_999 + "…"


@pytest.mark.parametrize(
    ("result", "error_type"),
    [
        (object(), "ResultNotJson"),
        ({1: 2}, "ResultNotJson"),
        ("\ud800", "ResultNotJson"),
        (2**70, "ResultNotJson"),
        ("x" * 999, "ResultTooLarge"),
    ],
)
async def test_a_result_that_can_not_be_stored_fails_the_task_for_good(
    stage: Stage, result: object, error_type: str
) -> None:
    async def returns(_: Context) -> object:
        return result

    async with a_worker(stage, {"*": returns}):
        task = await finished(stage, (await stage.created(max_attempts=3)).id)
    assert (task.status, task.attempt) == (Status.FAILED, 1)
    assert error_of(task)["type"] == error_type
    await assert_safe(stage.sql)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("a\x00b", '"a\\u0000b"'),
        (float("nan"), "null"),
        ("x" * 998, '"' + "x" * 998 + '"'),
        ([], "[]"),
        (False, "false"),
        (0, "0"),
    ],
)
async def test_odd_results_are_stored(stage: Stage, result: object, text: str) -> None:
    async def returns(_: Context) -> object:
        return result

    async with a_worker(stage, {"*": returns}):
        task = await finished(stage, (await stage.created()).id)
    assert (task.status, task.result) == (Status.SUCCEEDED, text)


async def test_an_end_that_postgresql_refuses_becomes_a_failure_and_spares_the_others(
    stage: Stage,
) -> None:
    """Validation lets nothing pass that PostgreSQL would refuse; so here it refuses more."""
    await stage.sql.execute(
        "ALTER TABLE taskmill.task ADD CONSTRAINT not_odd CHECK (result::text <> '\"odd\"')"
    )

    async def returns(context: Context) -> object:
        return "odd" if context.payload["odd"] else "fine"

    async with a_worker(stage, {"*": returns}):
        made = await stage.creation.create_all(
            [a_draft(payload={"odd": n == 3}, max_attempts=2) for n in range(8)]
        )
        tasks = [await finished(stage, created.task.id) for created in made]
    statuses = [task.status for task in tasks]
    assert statuses == [Status.FAILED if n == 3 else Status.SUCCEEDED for n in range(8)]
    await assert_safe(stage.sql)


async def test_a_handler_that_cancels_itself_has_failed(stage: Stage) -> None:
    async def gives_up(_: Context) -> None:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        await asyncio.sleep(1)

    async with a_worker(stage, {"*": gives_up}):
        task = await finished(stage, (await stage.created(max_attempts=1)).id)
    assert (task.status, error_of(task)["type"]) == (Status.FAILED, "CancelledError")
    await assert_safe(stage.sql)


async def test_no_more_handlers_run_at_once_than_there_are_slots(stage: Stage) -> None:
    at_once, most = 0, 0

    async def counts(_: Context) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1

    async with a_worker(stage, {"*": counts}, WorkerOptions(slots=3)):
        made = await stage.creation.create_all([a_draft() for _ in range(12)])
        for created in made:
            await finished(stage, created.task.id)
    assert most == 3


async def test_a_slot_is_free_while_the_last_end_is_still_being_written_down(stage: Stage) -> None:
    """But not without limit: no more ends wait than there are slots."""
    begun: list[UUID] = []

    async def holds_up_its_end(context: Context) -> None:
        await holding.execute("SELECT FROM taskmill.task WHERE id = $1 FOR UPDATE", context.task.id)
        begun.append(context.task.id)

    async def both_begun() -> bool:
        return len(begun) == 2

    made = await stage.creation.create_all([a_draft() for _ in range(4)])
    holding = await asyncpg.connect(stage.url)
    try:
        await holding.execute("BEGIN")
        async with a_worker(stage, {"*": holds_up_its_end}, WorkerOptions(slots=1)):
            await eventually(both_begun, "a second run")
            await asyncio.sleep(0.3)
            assert len(begun) == 2
            await holding.execute("COMMIT")
            for one in made:
                assert (await finished(stage, one.task.id)).status is Status.SUCCEEDED
    finally:
        await holding.close()
    await assert_safe(stage.sql)


async def test_several_workers_run_each_task_once(stage: Stage) -> None:
    runs: list[UUID] = []

    async def record(context: Context) -> None:
        runs.append(context.task.id)

    made = await stage.creation.create_all([a_draft() for _ in range(200)])
    async with (
        a_worker(stage, {"*": record}, WorkerOptions(name="one", claim_size=7)),
        a_worker(stage, {"*": record}, WorkerOptions(name="two", claim_size=7)),
        a_worker(stage, {"*": record}, WorkerOptions(name="three", claim_size=7)),
    ):
        for created in made:
            await finished(stage, created.task.id)
    assert sorted(runs) == sorted(created.task.id for created in made)
    await assert_safe(stage.sql)


async def test_a_type_without_a_handler_waits(stage: Stage) -> None:
    async def known(_: Context) -> None:
        return None

    async with a_worker(stage, {"known": known}):
        unknown = await stage.created(type="unknown", priority=9)
        await finished(stage, (await stage.created(type="known")).id)
        assert await stage.event_types(unknown.id) == ["created"]


async def test_a_claimed_task_without_a_handler_is_handed_back_for_a_while(stage: Stage) -> None:
    async with a_worker(stage, {}, WorkerOptions(takes_all=True)):
        made = await stage.created()

        async def probe() -> bool:
            return len(await stage.service.reading.events(made.id)) == 3

        await eventually(probe, "the hand-back")
    task, [*_, last] = await stage.task(made.id), await stage.service.reading.events(made.id)
    assert (task.status, task.attempt, last.reason) == (Status.NEW, 0, "no_handler")
    assert abs(task.run_at - task.updated_at - timedelta(seconds=30)) < timedelta(seconds=1)
