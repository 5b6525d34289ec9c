"""Tasks that are refused before they are stored, alone and among others; and keys that stand for earlier ones."""

import asyncio
from typing import Final

import pytest

from taskmill.domain.errors import (
    IdempotencyConflict,
    InvalidInput,
    QueueLimitReached,
    UnservedTypeLimitReached,
)
from taskmill.domain.system import CreatedTask
from taskmill.domain.task import Task, TaskDraft
from taskmill.wire.violations import MOST_VIOLATIONS
from tests.support.builders import a_draft, a_key
from tests.support.intake import counted
from tests.support.safety import assert_safe
from tests.support.stage import Stage, a_creation


def refused_draft(
    pointer: str = "/payload", key: str | None = None, body: str = "one"
) -> TaskDraft:
    """A draft whose payload its contract refuses."""
    return a_draft(
        payload_error=InvalidInput.at(pointer, "a number", "a text"),
        idempotency=None if key is None else a_key(key, body),
    )


async def test_a_payload_that_is_refused_is_stored_nowhere(stage: Stage) -> None:
    draft = refused_draft()
    with pytest.raises(InvalidInput) as refused:
        await stage.creation.create(draft)
    assert refused.value is draft.payload_error
    assert await counted(stage) == (0, 0)


async def test_a_key_stands_for_its_task_though_the_payload_would_be_refused_now(
    stage: Stage,
) -> None:
    task = await stage.created(idempotency=a_key("earlier"))
    again = await stage.creation.create(refused_draft(key="earlier"))
    assert (again.task, again.replayed) == (task, True)
    with pytest.raises(IdempotencyConflict):
        await stage.creation.create(refused_draft(key="earlier", body="two"))
    with pytest.raises(InvalidInput):
        await stage.creation.create(refused_draft(key="new"))


async def test_a_batch_is_refused_with_all_that_is_wrong_in_it(stage: Stage) -> None:
    wrong = [f"/tasks/{n}/payload" for n in range(MOST_VIOLATIONS + 1)]
    for pointers in (wrong[:2], wrong):
        with pytest.raises(InvalidInput) as refused:
            await stage.creation.create_all([a_draft(), *map(refused_draft, pointers)])
        found = [violation.pointer for violation in refused.value.violations]
        assert found == pointers[:MOST_VIOLATIONS]
    assert await counted(stage) == (0, 0)


async def test_a_batch_gets_earlier_tasks_of_its_keys_among_new_ones(stage: Stage) -> None:
    task = await stage.created(idempotency=a_key("earlier"))
    drafts = [a_draft(name="first"), refused_draft(key="earlier"), a_draft(name="last")]
    first, earlier, last = await stage.creation.create_all(drafts)
    assert (first.task.name, last.task.name) == ("first", "last")
    assert (earlier.task, earlier.replayed) == (task, True)
    assert await counted(stage) == (3, 0)
    await assert_safe(stage.sql)


async def test_a_batch_of_earlier_tasks_alone_commits_nothing(stage: Stage) -> None:
    await stage.created(idempotency=a_key("earlier"))
    commits = list[None]()
    stage.database.on_commit(lambda: commits.append(None))
    drafts = [refused_draft(key="earlier"), refused_draft(key="earlier")]
    assert [result.replayed for result in await stage.creation.create_all(drafts)] == [True, True]
    assert commits == []
    with pytest.raises(IdempotencyConflict):
        await stage.creation.create_all([drafts[0], refused_draft(key="earlier", body="two")])


async def test_each_gets_its_own_result_if_some_are_refused(stage: Stage) -> None:
    task = await stage.created(idempotency=a_key("earlier"))
    refused = refused_draft()
    drafts = [a_draft(name="first"), refused, refused_draft(key="earlier"), a_draft(name="last")]
    stored = await stage.creation.store_each(stage.creation.with_ids(drafts))
    submitted = [
        await one if isinstance(one, asyncio.Future) else one
        for one in await stage.creation.submit_each(drafts)
    ]
    for first, error, earlier, last in (stored, submitted):
        assert [made_of(one).name for one in (first, last)] == ["first", "last"]
        assert error is refused.payload_error
        assert made_of(earlier) == task
    assert await counted(stage) == (5, 0)


def made_of(result: object) -> Task:
    assert isinstance(result, CreatedTask)
    return result.task


async def test_a_batch_with_a_name_too_many_is_refused_whole(stage: Stage) -> None:
    limits: Final = {"queue_limit": 1, "type_limit": 1}
    async with a_creation(stage.database, stage.clock, stage.ids, **limits) as creation:
        await creation.create(a_draft(queue="a", type="a"))
        with pytest.raises(QueueLimitReached):
            await creation.create_all([a_draft(queue="a", type="a"), a_draft(queue="b", type="a")])
        with pytest.raises(UnservedTypeLimitReached):
            await creation.create_all([a_draft(queue="a", type="a"), a_draft(queue="a", type="b")])
        kinds = [(type_, queue) for type_, queue in (("b", "b"), ("a", "b"), ("a", "a"))]
        new = creation.with_ids(a_draft(type=type_, queue=queue) for type_, queue in kinds)
        results = await creation.store_each(new)
    expected = [UnservedTypeLimitReached, QueueLimitReached, CreatedTask]
    assert [type(result) for result in results] == expected
    assert await counted(stage) == (2, 0)


async def test_what_can_be_stored_at_once_is_begun_without_a_wait(stage: Stage) -> None:
    assert stage.creation.begin(a_draft()) is None, "its queue is not known yet"
    await stage.created()
    future = stage.creation.begin(a_draft(name="at once"))
    assert future is not None
    assert made_of(await future).name == "at once"
    assert stage.creation.begin(refused_draft()) is None
