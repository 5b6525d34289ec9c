"""A database that is ready for use, and the parts of a process that tests drive by hand."""

import random
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from taskmill.domain.lifecycle import Outcome
from taskmill.domain.task import Task
from taskmill.operations.create import TaskCreation
from taskmill.operations.known_types import KnownTypes
from taskmill.operations.producer_keys import ProducerKeys
from taskmill.operations.queues import KnownQueues
from taskmill.operations.read import TaskReading
from taskmill.operations.rejections import Rejections
from taskmill.operations.service import TaskService
from taskmill.operations.waiting_quotas import WaitingQuotas
from taskmill.operations.webhooks import Webhooks
from taskmill.operations.writability import Writability
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.ids import IdFactory
from taskmill.settings import DatabaseSettings
from taskmill.storage import claims, leases, tasks
from taskmill.storage.bucket_scan import BucketScan
from taskmill.storage.claims import BucketStart, EndedAttempt, TakenTask
from taskmill.storage.database import Database
from taskmill.storage.keyring import Keyring
from taskmill.storage.leases import WorkerProfile
from taskmill.storage.notifier import Notifier
from taskmill.storage.rights import MAINTENANCE, OWNER
from taskmill.wire.messages import MessageLimits
from tests.support.builders import a_draft, an_end
from tests.support.polling import eventually
from tests.support.postgres import STAGE_TEMPLATE, DatabaseServer
from tests.support.reused import ReusedDatabases
from tests.support.role_database import RoleDatabase
from tests.support.shared_servers import shared_postgres
from tests.support.templates import make_stage_template

SETTINGS = DatabaseSettings(pool_size=8, listing_pool_size=2)
LIMITS = MessageLimits()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One process's parts on a database of its own.

    They have the login of `taskmill_app`. Maintenance has a login of its own, and commands such as `taskmill key`
    have that of the owner, as have `url` and `sql`, a plain connection for checks.
    """

    url: str
    database: RoleDatabase
    clock: SystemClock
    ids: IdFactory
    creation: TaskCreation
    service: TaskService
    sql: "asyncpg.Connection[asyncpg.Record]"

    @property
    def maintenance_database(self) -> Database:
        """The connections of maintenance."""
        return self.database.of(MAINTENANCE)

    @property
    def owner_database(self) -> Database:
        """The connections of who migrates, and of commands that need its rights."""
        return self.database.of(OWNER)

    async def created(self, **parts: Any) -> Task:  # noqa: ANN401 - the fields of a draft
        """Create a task."""
        return (await self.creation.create(a_draft(**parts))).task

    async def open_lease(
        self,
        *,
        ttl_s: float = 60,
        worker: str = "tester",
        queues: tuple[str, ...] = (),
        types: tuple[str, ...] = ("*",),
    ) -> UUID:
        """Open a lease, of a worker for some queues or for all, and for some types or for all."""
        lease_id = self.ids()
        card = WorkerProfile(name=worker, queues=queues, types=types, slots=100)
        async with self.database.hot() as connection:
            await leases.open_lease(connection, lease_id, card, ttl_s=ttl_s)
        return lease_id

    async def take(
        self, lease_id: UUID, limit: int = 100, *, queue: str | None = None
    ) -> list[TakenTask]:
        """Claim what is due, the most urgent first, as a worker does; with `queue` only of that one."""
        buckets = sorted(
            await BucketScan().scan(self.database), key=lambda bucket: -bucket.priority
        )
        return await claims.take(
            self.database,
            lease_id=lease_id,
            worker="tester",
            buckets=[
                (bucket, BucketStart()) for bucket in buckets if queue in (None, bucket.queue)
            ],
            limit=limit,
        )

    async def running(self, lease_id: UUID, **parts: Any) -> TakenTask:  # noqa: ANN401 - see above
        """Create a task and claim it."""
        task = await self.created(**parts)

        async def probe() -> list[TakenTask]:
            taken = await self.take(lease_id, queue=task.queue)
            return [one for one in taken if one.task.id == task.id]

        # This process's clock may be ahead of PostgreSQL's by moments: then the task is not quite due.
        [taken] = await eventually(probe, "a task that is due at once")
        return taken

    async def end(self, taken: TakenTask, lease_id: UUID, outcome: Outcome) -> EndedAttempt | None:
        """End a claim."""
        end = an_end(taken, lease_id, outcome)
        return (await claims.end(self.database, [end], worker="tester")).get(taken.task.id)

    async def task(self, task_id: UUID) -> Task:
        """Read a task."""
        return await tasks.get_one(self.database, task_id)

    async def event_types(self, task_id: UUID) -> list[str]:
        """Read the types of a task's events, oldest first."""
        return [str(event.event_type) for event in await self.service.reading.events(task_id)]


def a_creation(
    database: Database,
    clock: SystemClock,
    ids: IdFactory,
    *,
    queue_limit: int = 1000,
    type_limit: int = 500,
) -> TaskCreation:
    """A creation with its own known queues, known types and notifier."""
    return TaskCreation(
        database,
        clock=clock,
        ids=ids,
        queues=KnownQueues(database, limit=queue_limit, clock=clock),
        types=KnownTypes(database, limit=type_limit, clock=clock),
        waiting=WaitingQuotas(database, clock=clock),
        notifier=Notifier(database),
        writability=Writability(database, ids),
        key_validity=timedelta(days=7),
    )


def a_rejections(
    database: Database,
    creation: TaskCreation,
    ids: IdFactory,
    limits: MessageLimits = LIMITS,
    producers: ProducerKeys | None = None,
) -> Rejections:
    """What stores refused messages, and resends them."""
    return Rejections(database, creation, ids=ids, limits=limits, producers=producers)


def a_webhooks(
    database: Database,
    ids: IdFactory | None = None,
    *,
    limit: int = 1000,
    quota: int = 0,
    keyring: Keyring | None = None,
) -> Webhooks:
    """What stores webhooks, and lists their deliveries."""
    return Webhooks(
        database,
        ids=ids or IdFactory(SystemClock(), random.Random()),  # noqa: S311 - no secret
        secret_bytes=secrets.token_bytes,
        keyring=keyring or Keyring(),
        limit=limit,
        give_up_s=86_400,
        quota=quota,
    )


@asynccontextmanager
async def a_stage(url: str, settings: DatabaseSettings = SETTINGS) -> AsyncIterator[Stage]:
    """Set everything up, and tear it down at the end."""
    database, clock = RoleDatabase(url, settings), SystemClock()
    sql = await asyncpg.connect(url)
    try:
        await database.anchor(clock)
        ids = IdFactory(clock, random.Random())  # noqa: S311 - no secret
        creation = a_creation(database, clock, ids)
        refused = a_rejections(database, creation, ids)
        async with creation, TaskReading(database) as reading:
            yield Stage(
                url=url,
                database=database,
                clock=clock,
                ids=ids,
                creation=creation,
                service=TaskService(database, creation, reading, refused),
                sql=sql,
            )
    finally:
        await sql.close()
        await database.close()


@pytest.fixture(scope="session")
def stage_template(database_server: DatabaseServer, database_template: str) -> str:  # noqa: ARG001 - it is copied
    """The name of a migrated database with current partitions, to which nobody connects."""
    # Each folder has this fixture for itself, and the server is shared.
    if shared_postgres() is None and STAGE_TEMPLATE not in database_server.renamed:
        make_stage_template(database_server)
    return STAGE_TEMPLATE


@pytest.fixture(scope="session")
def reused_databases(
    database_server: DatabaseServer, stage_template: str
) -> Iterator[ReusedDatabases]:
    """Databases that are ready to serve, one for each test, and emptied for the next."""
    databases = ReusedDatabases(database_server, stage_template)
    yield databases
    databases.close()


@pytest.fixture
def stage_url(reused_databases: ReusedDatabases) -> Iterator[str]:
    """The address of a database that is ready to serve and as new, which is this test's until it ends."""
    url = reused_databases.take()
    yield url
    reused_databases.give_back(url)


@pytest.fixture
async def stage(stage_url: str) -> AsyncIterator[Stage]:
    """A process's parts on a database of their own."""
    async with a_stage(stage_url) as ready:
        yield ready
