"""How the creation of a task notifies: with its commit, or within a share of the time, and never at its cost."""

import asyncio
from collections.abc import Collection
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.domain.lifecycle import Status
from taskmill.runtime.duty_cycle import DutyCycle
from taskmill.storage import tasks
from taskmill.storage.notifier import CHANNEL
from taskmill.storage.servers import Connection
from taskmill.storage.tasks import NewTask, StoredFacts
from tests.support.builders import a_draft
from tests.support.locks import holding_tasks, until_blocked
from tests.support.stage import Stage


async def test_a_task_that_is_created_alone_notifies_with_its_commit(stage: Stage) -> None:
    """No notifier runs here: the notification came with the transaction."""
    stage.creation._notifying = DutyCycle(stage.clock, share=1, most_s=60, longest_s=60)
    notifies: list[str] = []
    await stage.sql.add_listener(CHANNEL, lambda *notification: notifies.append(notification[2]))
    await stage.created()
    await stage.sql.fetchval("SELECT 1")
    assert notifies == [CHANNEL]
    await stage.creation.create_all([a_draft()])
    # Of two at once only the first is alone: NOTIFY would have one wait for the other's commit.
    async with holding_tasks(stage) as release, asyncio.TaskGroup() as group:
        for count in (1, 2):
            group.create_task(stage.created())
            await until_blocked(stage, count)
        await release()
    await stage.sql.fetchval("SELECT 1")
    assert notifies == [CHANNEL] * 2
    await stage.created()
    await stage.sql.fetchval("SELECT 1")
    assert notifies == [CHANNEL] * 3, "it is alone again"


async def test_tasks_created_one_after_the_other_notify_within_for_a_share_of_the_time(
    stage: Stage,
) -> None:
    notifies: list[str] = []
    await stage.sql.add_listener(CHANNEL, lambda *notification: notifies.append(notification[2]))
    stage.creation._notifying.charge(float("inf"))
    await stage.created()
    await stage.sql.fetchval("SELECT 1")
    assert notifies == []
    assert stage.creation._notifier._wanted.is_set()


async def test_a_task_found_after_a_lost_result_is_notified_of(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The next try may notify with its commit: that it finds the task, and stores nothing, must not matter.
    stage.creation._notifying = DutyCycle(stage.clock, share=1, most_s=60, longest_s=60)
    insert = tasks.insert

    async def loses_the_first_result(
        connection: Connection,
        new: Collection[NewTask],
        *,
        notifies: bool = False,
        timeout_s: float | None = None,
    ) -> dict[UUID, StoredFacts]:
        monkeypatch.setattr(tasks, "insert", insert)
        await insert(connection, new, notifies=notifies, timeout_s=timeout_s)
        raise Unavailable(0, "the database")

    await stage.created()
    assert not stage.creation._notifier._wanted.is_set()
    monkeypatch.setattr(tasks, "insert", loses_the_first_result)
    await stage.created()
    assert stage.creation._notifier._wanted.is_set()
    stage.creation._notifier._wanted.clear()
    await stage.created()
    assert not stage.creation._notifier._wanted.is_set()  # that was for the one task only


async def test_a_task_is_created_when_the_queue_of_notifications_is_full(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a session listens and never ends its transaction."""
    tried: list[bool] = []
    insert = tasks.insert

    async def full(
        connection: Connection,
        new: Collection[NewTask],
        *,
        notifies: bool = False,
        timeout_s: float | None = None,
    ) -> dict[UUID, StoredFacts]:
        tried.append(notifies)
        if notifies:
            raise asyncpg.ProgramLimitExceededError("too many notifications in the NOTIFY queue")
        return await insert(connection, new, timeout_s=timeout_s)

    monkeypatch.setattr(tasks, "insert", full)
    made = await stage.created()
    assert (await stage.task(made.id)).status is Status.NEW
    assert tried == [True, False]
    assert stage.creation._notifier._wanted.is_set()
    await stage.created()
    assert tried == [True, False, False]  # it is not tried again at once
