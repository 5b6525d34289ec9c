"""Random histories on the real statements, against a model of a few lines: each leaves a sound database."""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, seed as from_seed, settings, strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from taskmill.domain.errors import IdempotencyConflict, TransitionRefused
from taskmill.domain.lifecycle import (
    TERMINAL,
    Cancelled,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    Permanent,
    Retry,
    Status,
    Succeeded,
)
from taskmill.domain.rescheduling import Rescheduling
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.rescue import Rescue
from taskmill.storage import claims, counts, leases
from taskmill.storage.claims import TakenTask
from tests.support.builders import AT_ONCE, ERROR, a_draft, a_key, an_end
from tests.support.postgres import DatabaseServer
from tests.support.safety import unsafe
from tests.support.search import seed_of, tries
from tests.support.stage import Stage, a_stage
from tests.support.verifying import found_in

T = TypeVar("T")

OUTCOMES: tuple[Outcome, ...] = (
    Succeeded(),
    Succeeded(result='{"a": 1}'),
    Failed(error=ERROR),
    Retry(error=ERROR, after=timedelta(0)),
    Permanent(error=ERROR),
    Interrupted(),
    Cancelled(),
    Lost(),
)


@dataclass(kw_only=True)
class Model:
    """What is expected of a task."""

    queue: str
    max_attempts: int
    max_losses: int
    status: Status = Status.NEW
    attempt: int = 0
    losses: int = 0
    run: int = 1
    claim_no: int = 0
    lease: UUID | None = None
    cancel_requested: bool = False

    @property
    def facts(self) -> tuple[object, ...]:
        numbers = (self.attempt, self.losses, self.run, self.claim_no)
        return (self.status, *numbers, self.lease, self.cancel_requested, self.queue)

    def end(self, outcome: Outcome) -> None:
        """Apply an outcome; written for itself, not by `decide`."""
        tries_again = isinstance(outcome, (Failed, Retry)) and self.attempt < self.max_attempts
        goes_back = tries_again or isinstance(outcome, (Interrupted, Lost))
        if isinstance(outcome, (Interrupted, Lost)):
            self.attempt -= 1
        no_loss_left = isinstance(outcome, Lost) and self.losses == self.max_losses
        if isinstance(outcome, Lost) and not no_loss_left:
            self.losses += 1
        if isinstance(outcome, Succeeded):
            self.status = Status.SUCCEEDED
        elif isinstance(outcome, Cancelled) or (goes_back and self.cancel_requested):
            self.status = Status.CANCELLED
        elif goes_back and not no_loss_left:
            self.status = Status.NEW
        else:
            self.status = Status.FAILED
        self.lease = None


@dataclass(frozen=True, eq=False)
class Held:
    """A claim that somebody holds, whether or not it is still good."""

    taken: TakenTask
    lease: UUID


@dataclass
class World:
    """A stage on a loop of its own: the machine's rules are ordinary functions."""

    server: DatabaseServer
    template: str
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def __post_init__(self) -> None:
        self.url = self.server.create(template=self.template)
        self._context = a_stage(self.url)
        self.stage: Stage = self.run(self._context.__aenter__())

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.runner.run(awaited())

    def close(self) -> None:
        self.run(self._context.__aexit__(None, None, None))
        self.runner.close()
        self.server.drop(self.url)


class Lifecycle(RuleBasedStateMachine):
    """Tasks of two queues in the hands of workers that finish, vanish and come back late."""

    world: World
    held = Bundle("held")

    @initialize()
    def begin(self) -> None:
        self.tasks: dict[UUID, Model] = {}
        self.claims: list[Held] = []
        self.open_leases: list[UUID] = []
        self.paused: set[str] = set()
        self.keys: dict[str, tuple[str, UUID]] = {}
        self.stage = self.world.stage
        self.world.run(self._clear())
        self.open_lease()

    async def _clear(self) -> None:
        await self.stage.sql.execute(
            "TRUNCATE taskmill.task, taskmill.task_event, taskmill.dispatch, taskmill.running, "
            "taskmill.lease, taskmill.task_count, taskmill.task_week_count, taskmill.change_batch, "
            "taskmill.idempotency"
        )
        await self.stage.sql.execute("UPDATE taskmill.queue SET paused_at = NULL")

    @rule()
    @precondition(lambda self: len(self.open_leases) < 2)
    def open_lease(self) -> None:
        self.open_leases.append(self.world.run(self.stage.open_lease()))

    @rule(
        count=st.integers(1, 3),
        queue=st.sampled_from("ab"),
        max_attempts=st.integers(1, 3),
        max_losses=st.integers(0, 2),
    )
    def create(self, count: int, queue: str, max_attempts: int, max_losses: int) -> None:
        drafts = [
            a_draft(queue=queue, max_attempts=max_attempts, max_losses=max_losses, retry=AT_ONCE)
            for _ in range(count)
        ]
        for created in self.world.run(self.stage.creation.create_all(drafts)):
            self.tasks[created.task.id] = Model(
                queue=queue, max_attempts=max_attempts, max_losses=max_losses
            )

    @rule(key=st.sampled_from(["k1", "k2"]), body=st.sampled_from(["x", "y"]))
    def create_with_key(self, key: str, body: str) -> None:
        draft = a_draft(queue="a", idempotency=a_key(key, body))
        known = self.keys.get(key)
        if known and known[0] != body:
            with pytest.raises(IdempotencyConflict):
                self.world.run(self.stage.creation.create(draft))
            return
        created = self.world.run(self.stage.creation.create(draft))
        assert created.replayed is (known is not None)
        if known:
            assert created.task.id == known[1]
        else:
            self.keys[key] = (body, created.task.id)
            self.tasks[created.task.id] = Model(queue="a", max_attempts=1, max_losses=3)

    @rule(target=held, data=st.data(), limit=st.integers(1, 4))
    @precondition(lambda self: self.open_leases)
    def claim_some(self, data: st.DataObject, limit: int) -> object:
        return multiple(*self.claim(data.draw(st.sampled_from(self.open_leases)), limit))

    def claim(self, lease: UUID, limit: int) -> list[Held]:
        taken = self.world.run(self.stage.take(lease, limit))
        free = [
            model
            for model in self.tasks.values()
            if model.status is Status.NEW and model.queue not in self.paused
        ]
        assert len(taken) == (min(limit, len(free)) if lease in self.open_leases else 0)
        for one in taken:
            model = self.tasks[one.task.id]
            assert model.status is Status.NEW
            assert model.queue not in self.paused
            model.status, model.lease = Status.IN_PROGRESS, lease
            model.attempt += 1
            model.claim_no += 1
            assert (one.task.attempt, one.task.claim_no) == (model.attempt, model.claim_no)
        held = [Held(one, lease) for one in taken]
        self.claims += held
        return held

    @rule(claim=held, outcome=st.sampled_from(OUTCOMES))
    def end(self, claim: Held, outcome: Outcome) -> None:
        """End a claim that may have ended long ago: stale ones stay in the hands of workers."""
        self._end([(claim, outcome)])

    @rule(data=st.data())
    @precondition(lambda self: any(m.lease for m in self.tasks.values()))
    def end_several(self, data: st.DataObject) -> None:
        good = [claim for claim in self.claims if self._is_good(claim)]
        some = data.draw(st.lists(st.sampled_from(good), min_size=1, max_size=4, unique=True))
        self._end([(claim, data.draw(st.sampled_from(OUTCOMES))) for claim in some])

    @rule(data=st.data(), outcome=st.sampled_from([Interrupted(), Lost()]))
    @precondition(lambda self: any(m.lease for m in self.tasks.values()))
    def claim_again_and_end_the_first_claim(self, data: st.DataObject, outcome: Outcome) -> None:
        first = data.draw(st.sampled_from([c for c in self.claims if self._is_good(c)]))
        self._end([(first, outcome)])
        self.claim(first.lease, 4)
        self._end([(first, Succeeded(result='"late"'))])

    def _is_good(self, claim: Held) -> bool:
        model = self.tasks[claim.taken.task.id]
        current = (model.lease, model.claim_no)
        return model.status is Status.IN_PROGRESS and (
            current == (claim.lease, claim.taken.task.claim_no)
        )

    def _end(self, several: list[tuple[Held, Outcome]]) -> None:
        ends = [an_end(claim.taken, claim.lease, outcome) for claim, outcome in several]
        good = {claim.taken.task.id for claim, _ in several if self._is_good(claim)}
        ended = self.world.run(claims.end(self.stage.database, ends, worker="tester"))
        assert ended.keys() == good
        for claim, outcome in several:
            if claim.taken.task.id in good:
                model = self.tasks[claim.taken.task.id]
                model.end(outcome)
                assert ended[claim.taken.task.id].status is model.status

    @rule(data=st.data())
    @precondition(lambda self: self.open_leases)
    def lose_a_worker(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.open_leases))
        self.open_leases.remove(lease)
        self.world.run(leases.close_lease(self.stage.database, lease, "expired"))

    @rule()
    def rescue(self) -> None:
        duty = Rescue(
            self.stage.maintenance_database,
            ttl_s=60,
            interval_s=1,
            name="rescue",
            clock=self.stage.clock,
        )
        self.world.run(duty())
        for model in self.tasks.values():
            if model.lease is not None and model.lease not in self.open_leases:
                model.end(Lost())

    @rule(data=st.data())
    @precondition(lambda self: self.tasks)
    def cancel(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(list(self.tasks)))
        model = self.tasks[task_id]
        if model.status in TERMINAL:
            with pytest.raises(TransitionRefused):
                self.world.run(self.stage.service.cancel(task_id))
            return
        result, _ = self.world.run(self.stage.service.cancel(task_id))
        assert result == ("cancelled" if model.status is Status.NEW else "requested")
        if model.status is Status.NEW:
            model.status = Status.CANCELLED
        model.cancel_requested = True

    @rule(data=st.data())
    @precondition(lambda self: self.tasks)
    def retry(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(list(self.tasks)))
        model = self.tasks[task_id]
        if model.status not in TERMINAL:
            with pytest.raises(TransitionRefused):
                self.world.run(self.stage.service.retry(task_id))
            return
        self.world.run(self.stage.service.retry(task_id))
        model.status, model.cancel_requested = Status.NEW, False
        model.attempt = model.losses = 0
        model.run += 1

    @rule(data=st.data(), wanted=st.builds(Rescheduling, queue=st.sampled_from("ab")))
    @precondition(lambda self: self.tasks)
    def reschedule(self, data: st.DataObject, wanted: Rescheduling) -> None:
        task_id = data.draw(st.sampled_from(list(self.tasks)))
        work = self.stage.service.reschedule(task_id, wanted)
        if self.tasks[task_id].status is not Status.NEW:
            with pytest.raises(TransitionRefused):
                self.world.run(work)
        else:
            self.world.run(work)
            self.tasks[task_id].queue = wanted.queue or ""

    @rule(data=st.data())
    @precondition(lambda self: any(m.status is Status.NEW for m in self.tasks.values()))
    def expire(self, data: st.DataObject) -> None:
        waiting = [i for i, m in self.tasks.items() if m.status is Status.NEW]
        task_id = data.draw(st.sampled_from(waiting))
        self.world.run(self._let_expire(task_id))
        self.tasks[task_id].status = Status.FAILED

    async def _let_expire(self, task_id: UUID) -> None:
        sql = self.stage.sql
        past = "expires_at = now() - interval '1 s'"
        async with sql.transaction():
            await sql.execute(f"UPDATE taskmill.dispatch SET {past} WHERE task_id = $1", task_id)  # noqa: S608 - our own
        await expire_waiting(self.stage.maintenance_database)

    @rule(queue=st.sampled_from("ab"))
    def pause_or_resume(self, queue: str) -> None:
        if queue not in {model.queue for model in self.tasks.values()}:
            return
        self.paused ^= {queue}
        self.world.run(self.stage.service.set_queue_paused(queue, paused=queue in self.paused))

    @rule()
    def fold(self) -> None:
        self.world.run(counts.fold(self.stage.maintenance_database))

    @invariant()
    def every_task_is_as_expected(self) -> None:
        if not hasattr(self, "tasks"):
            return
        rows = self.world.run(
            self.stage.sql.fetch(
                "SELECT id, status, attempt, losses, run, claim_no, lease_id, cancel_requested, queue "
                "FROM taskmill.current_task"
            )
        )
        assert {row["id"]: tuple(row)[1:] for row in rows} == {
            task_id: model.facts for task_id, model in self.tasks.items()
        }

    def teardown(self) -> None:
        if hasattr(self, "tasks"):
            assert self.world.run(unsafe(self.stage.sql)) == []
            assert self.world.run(found_in(self.stage.database)) == {}


@pytest.fixture
def world(database_server: DatabaseServer, stage_template: str) -> Iterator[World]:
    found = World(database_server, stage_template)
    yield found
    found.close()


def run_machine(world: World, *, examples: int, steps: int, seed: int) -> None:
    run_state_machine_as_test(
        from_seed(seed)(type("OnWorld", (Lifecycle,), {"world": world})),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_any_history_leaves_a_sound_database(world: World, pytestconfig: pytest.Config) -> None:
    run_machine(world, examples=60, steps=40, seed=seed_of(pytestconfig))


@pytest.mark.slow
@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_many_long_histories_leave_a_sound_database(
    world: World, part: int, pytestconfig: pytest.Config
) -> None:
    run_machine(world, examples=tries(100), steps=100, seed=seed_of(pytestconfig) + part)
