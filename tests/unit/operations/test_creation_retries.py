"""How long a creation is tried again, and what happens when there is no room; without a database."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

import asyncpg
import pytest

from taskmill.domain.errors import QueueLimitReached, TaskmillError, Unavailable
from taskmill.domain.quotas import Owner
from taskmill.observability.metrics import STATEMENTS_FAILED
from taskmill.operations.create import TaskCreation
from taskmill.operations.queues import KnownQueues
from tests.support.api import LogLines, log_lines
from tests.support.attempts import no_database
from tests.support.builders import a_draft
from tests.support.clocks import ManualClock
from tests.support.creations import NOON, a_creation_without_database
from tests.support.event_loops import leaping

__all__ = ["log_lines"]

MOST_WAITING: Final = 20_000
DEADLOCK: Final = asyncpg.DeadlockDetectedError("two waited for each other")
TOO_LATE: Final = Unavailable(1, "the database")
REFUSED: Final = QueueLimitReached(10)


class FailingQueues(KnownQueues):
    """Queues whose look-ups fail with the given errors, each after the seconds beside it."""

    def __init__(self, *failures: tuple[Exception, float]) -> None:
        self.clock = ManualClock(NOON)
        super().__init__(no_database(), limit=10, clock=self.clock)
        self.failures = list(failures)

    def has(self, names: Collection[str]) -> bool:  # noqa: ARG002 - whichever they are
        """Let each be looked up."""
        return False

    async def refused(
        self,
        names: Collection[str],
        owner: Owner | None = None,  # noqa: ARG002 - whoever it is
    ) -> dict[str, TaskmillError]:
        """Fail as long as failures are left, then refuse all."""
        if self.failures:
            error, spent_s = self.failures.pop(0)
            self.clock.advance(timedelta(seconds=spent_s))
            raise error
        return dict.fromkeys(names, REFUSED)


async def tried(queues: FailingQueues) -> float:
    """Have a task refused after the queues were looked up, and return the seconds of pauses before that."""
    creation = a_creation_without_database(queues=queues, clock=queues.clock)
    with leaping() as now:
        began = now()
        assert await creation.submit_each([a_draft()]) == [REFUSED]
        return now() - began


async def test_while_the_database_is_away_it_is_tried_again_for_three_seconds(
    log_lines: LogLines,
) -> None:
    cause = TimeoutError("no response")
    away = Unavailable(1, "the database")
    away.__cause__ = cause
    queues = FailingQueues((away, 2.0), (away, 0.8))
    assert await tried(queues) == pytest.approx(0.2)
    lines = log_lines.named("creation.repeated")
    assert [line["error"] for line in lines] == [repr(cause)] * 2
    late = FailingQueues((TOO_LATE, 2.9))
    with pytest.raises(Unavailable):
        await tried(late)


async def test_a_collision_is_tried_again_and_counted(log_lines: LogLines) -> None:
    before = STATEMENTS_FAILED.value("collision")
    queues = FailingQueues((DEADLOCK, 1.0), (DEADLOCK, 1.9))
    assert await tried(queues) == pytest.approx(0.2)
    assert STATEMENTS_FAILED.value("collision") == before + 2
    lines = log_lines.named("creation.collided")
    assert [line["error"] for line in lines] == [repr(DEADLOCK)] * 2
    with pytest.raises(asyncpg.DeadlockDetectedError):
        await tried(FailingQueues((DEADLOCK, 3.0)))


async def test_what_else_postgresql_refuses_is_not_tried_again() -> None:
    queues = FailingQueues((asyncpg.DataError("wrong"), 0.0))
    with pytest.raises(asyncpg.DataError):
        await tried(queues)


async def full(creation: TaskCreation) -> None:
    """Have as many tasks wait as may."""
    creation.queues._remember({"default"})
    creation.types._remember({"emulate"})
    assert len(await creation.submit_each([a_draft()] * MOST_WAITING)) == MOST_WAITING


async def test_without_room_a_task_is_refused_and_begins_nothing() -> None:

    async def use() -> None:
        async with a_creation_without_database() as creation:
            await full(creation)
            with pytest.raises(Unavailable) as refused:
                await creation.create(a_draft())
            assert refused.value.retry_after_s == 1
            assert refused.value.what == "room for more tasks"
            [submitted] = await creation.submit_each([a_draft()])
            assert str(submitted) == str(refused.value)
            assert creation.begin(a_draft()) is None
            raise KeyError  # so that nothing is stored

    with pytest.raises(ExceptionGroup) as ended:
        await use()
    assert ended.group_contains(KeyError)
