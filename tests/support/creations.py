"""A creation of tasks that no database is behind: for what happens before anything is stored."""

import random
from datetime import UTC, datetime, timedelta
from typing import Final

from taskmill.operations.create import TaskCreation
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.queues import KnownQueues
from taskmill.operations.waiting_quotas import WaitingQuotas
from taskmill.operations.writability import Writability
from taskmill.runtime.clock import Clock
from taskmill.runtime.ids import IdFactory
from taskmill.storage.notifier import Notifier
from tests.support.attempts import no_database
from tests.support.clocks import ManualClock

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
VALIDITY: Final = timedelta(days=7)


def a_creation_without_database(
    *, queues: KnownQueues | None = None, clock: Clock | None = None
) -> TaskCreation:
    """A creation at noon."""
    database, clock = no_database(), clock or ManualClock(NOON)
    ids = IdFactory(clock, random.Random(1))  # noqa: S311 - no secret
    return TaskCreation(
        database,
        clock=clock,
        ids=ids,
        queues=queues or KnownQueues(database, limit=10, clock=clock),
        types=KnownTypes(database, limit=10, clock=clock),
        waiting=WaitingQuotas(database, clock=clock),
        notifier=Notifier(database),
        writability=Writability(database, ids),
        key_validity=VALIDITY,
    )
