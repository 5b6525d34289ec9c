"""A database with a task in every situation, made by the program's operations."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from taskmill.domain.errors import TooLarge
from taskmill.domain.lifecycle import Failed, Interrupted, Lost, Outcome, Permanent, Succeeded
from taskmill.domain.rescheduling import Rescheduling
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.rescue import Rescue
from taskmill.storage import changes, counts, leases
from taskmill.storage.claims import TakenTask
from taskmill.wire.messages import CreationMessage, refused_message
from tests.support.builders import ERROR, a_key
from tests.support.polling import eventually
from tests.support.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Tasks by what happened to them, the lease of the running ones, and a refused message that was sent again."""

    tasks: dict[str, UUID]
    lease: UUID
    resent: UUID


async def a_mixture(stage: Stage) -> Mixture:
    """Make a task for everything that can happen."""
    made = _Making(stage, await stage.open_lease())
    await made.lost()
    await made.ended("succeeded", Succeeded(result='{"a": 1}'), key="order-1")
    await made.ended("failed", Permanent(error=ERROR))
    await made.ended("handed back and succeeded", Interrupted(), Succeeded())
    await made.ended("retried and succeeded", Failed(error=ERROR), Succeeded())
    await made.ended("retried and failed", Failed(error=ERROR), Failed(error=ERROR))
    await made.cancelled("cancelled while it ran", Interrupted())
    await made.cancelled("lost while it was to be cancelled", Lost())
    await made.cancelled("succeeded though it was to be cancelled", Succeeded())
    await made.expired()
    for name in ("cancelled", "cancelled and run again"):
        await made.waiting(name)
        await stage.service.cancel(made.tasks[name])
    await made.ended("succeeded and run again", Succeeded())
    await made.cancelled("cancelled while it ran, and run again", Interrupted())
    running = await stage.running(made.lease, queue="running")
    cancelled = await stage.running(made.lease, queue="running")
    made.tasks |= {"running": running.task.id, "to be cancelled": cancelled.task.id}
    await stage.service.cancel(cancelled.task.id)
    await made.ended("waiting for another try", Failed(error=ERROR))
    for name in [name for name in made.tasks if name.endswith("run again")]:
        await stage.service.retry(made.tasks[name])
    await made.waiting("waiting", queue="mail", idempotency=a_key("order-2"))
    await made.waiting("scheduled", delay=timedelta(hours=1), priority=9)
    await stage.service.reschedule(made.tasks["scheduled"], Rescheduling(priority=8))
    resent = await made.resent()
    await counts.fold(stage.maintenance_database)
    await changes.number(stage.maintenance_database, 1000)
    await made.waiting("unnumbered")
    return Mixture(tasks=made.tasks, lease=made.lease, resent=resent)


class _Making:
    """Tasks that were made so far."""

    def __init__(self, stage: Stage, lease: UUID) -> None:
        self.stage = stage
        self.lease = lease
        self.tasks: dict[str, UUID] = {}

    async def waiting(self, name: str, **parts: object) -> None:
        self.tasks[name] = (await self.stage.created(**parts)).id

    async def taken(self) -> list[TakenTask]:
        """Claim what is due now, or will be in a moment by PostgreSQL's clock."""
        return await eventually(lambda: self.stage.take(self.lease), "a task that is due at once")

    async def ended(self, name: str, *outcomes: Outcome, key: str | None = None) -> None:
        idempotency = None if key is None else a_key(key)
        await self.waiting(name, max_attempts=2, idempotency=idempotency)
        for outcome in outcomes:
            for taken in await self.taken():
                await self.stage.end(taken, self.lease, outcome)

    async def cancelled(self, name: str, outcome: Outcome) -> None:
        taken = await self.stage.running(self.lease)
        self.tasks[name] = taken.task.id
        await self.stage.service.cancel(taken.task.id)
        await self.stage.end(taken, self.lease, outcome)

    async def lost(self) -> None:
        """A task that lost its worker, and succeeded with the next."""
        gone = await self.stage.open_lease(worker="gone")
        self.tasks["lost and succeeded"] = (await self.stage.running(gone)).task.id
        await leases.close_lease(self.stage.database, gone, "stopped")
        clock = self.stage.clock
        await Rescue(
            self.stage.maintenance_database, ttl_s=60, interval_s=1, name="rescue", clock=clock
        )()
        [taken] = await self.taken()
        await self.stage.end(taken, self.lease, Succeeded())

    async def expired(self) -> None:
        soon = self.stage.clock.now() + timedelta(milliseconds=1)
        task = await self.stage.created(expires_at=soon)
        self.tasks["expired"] = task.id

        async def probe() -> bool:
            await expire_waiting(self.stage.maintenance_database)
            return (await self.stage.task(task.id)).status == "failed"

        await eventually(probe, "an expired task")

    async def resent(self) -> UUID:
        """Refuse two messages and send the first again."""
        service = self.stage.service.rejections
        messages = [CreationMessage(body=body) for body in (b'{"name": "too large"}', b"rubbish")]
        refused = [refused_message(message, TooLarge(1)) for message in messages]
        first, _ = await service.store(service.with_ids(refused))
        self.tasks["sent again"] = (await service.resend(first)).task.id
        return first
