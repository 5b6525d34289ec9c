"""Pulling without HTTP: the part of an API's process that does it, and what tests ask of it."""

import asyncio
import random
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from taskmill.domain.lifecycle import Status
from taskmill.domain.remote import LeaseRequest, RemoteLease
from taskmill.operations.contracts import Contracts
from taskmill.operations.first_claims import FirstClaims
from taskmill.operations.pull import Pull
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.ids import IdFactory
from taskmill.settings import PullSettings, TaskLogSettings
from taskmill.storage.database import Database
from taskmill.storage.notifier import NotificationListener
from tests.support.builders import AT_ONCE
from tests.support.polling import eventually
from tests.support.stage import Stage

BODY = {"worker": "w", "types": ["emulate"], "wait_s": 30}


def a_pull(
    database: Database, settings: PullSettings | None = None, payload_bytes: int = 2**20
) -> Pull:
    """A `Pull` in which tasks without a policy are retried at once."""
    randomness = random.Random()  # noqa: S311 - no secret
    return Pull(
        database,
        settings or PullSettings(),
        policy=AT_ONCE,
        first_claims=FirstClaims(Contracts(database), SystemClock()),
        ids=IdFactory(SystemClock(), randomness),
        randomness=randomness,
        payload_bytes=payload_bytes,
        task_log=TaskLogSettings(
            claim_lines=10, claim_bytes=2000, message_chars=500, fields_bytes=300
        ),
    )


def a_request(**parts: object) -> LeaseRequest:
    """A request for one task of the type of all tests."""
    usual: dict[str, object] = {
        "worker": "w",
        "queues": frozenset(),
        "types": frozenset({"emulate"}),
        "limit": 1,
        "ttl_s": 30.0,
        "wait_s": 10.0,
    }
    return LeaseRequest(**{**usual, **parts})  # type: ignore[arg-type]


@pytest.fixture
async def pull(stage: Stage) -> AsyncIterator[Pull]:
    """The running service, which is notified."""
    made, stop = a_pull(stage.database), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(made.run(stop))
        group.create_task(stage.creation._notifier.run(stop))
        group.create_task(NotificationListener(stage.database, lambda _: made.wake()).run(stop))
        yield made
        stop.set()


async def lease_of(pull: Pull, **parts: object) -> RemoteLease:
    found = await pull.claim(a_request(**parts))
    assert found is not None
    return found


async def waiting(pull: Pull, count: int) -> None:
    """Wait until so many calls wait, and all buckets were scanned for them."""

    async def check() -> bool:
        calls = pull._claims._calls
        return len(calls) == count and all(call.has_scanned_all for call in calls)

    await eventually(check, f"{count} calls to wait")


async def is_new_at_no_cost(stage: Stage, task_id: UUID) -> None:
    async def check() -> bool:
        task = await stage.task(task_id)
        return (task.status, task.attempt, task.losses) == (Status.NEW, 0, 0)

    await eventually(check, "the task to be handed back")
