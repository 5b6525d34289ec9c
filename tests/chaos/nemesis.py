"""Does harm to a site: one fault after the other, chosen and timed by a seed, each undone after a while.

Faults overlap. Which processes and edges are hit, for how long, and what comes next is drawn from the seed alone.
A fault counts when it is proven to have happened: a process is gone, an answer was lost, the disk was full. One
that met nothing to harm is tried again.
"""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import asyncpg

from taskmill.amqp.names import HINTS
from tests.chaos.checker import Sql
from tests.chaos.edges import Edge
from tests.chaos.failpoints import PLACES
from tests.chaos.history import History
from tests.chaos.site import LEASE_TTL_S, Member, Site
from tests.support.polling import eventually
from tests.support.rabbitmq import BrokerServer

_HALF_TTL_S = LEASE_TTL_S / 2
_STARTUP_S = 40.0
_AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

# So often, together, faults that met nothing are tried again.
_ROUNDS = 8

# Does harm, undoes it, and tells whether it happened.
Fault: TypeAlias = Callable[[], Coroutine[Any, Any, bool]]


class Nemesis:
    """All that can go wrong. `run` does so many faults; afterwards `heal` undoes what is left.

    `done` counts what happened by its kind, `deaths` by the place that a process died at. `absent` are the kinds
    that this machine can't do.
    """

    def __init__(
        self,
        site: Site,
        seed: int,
        history: History,
        *,
        only: frozenset[str] = frozenset(),
        roles: frozenset[str] = frozenset(),
        pause_s: float = 1.2,
    ) -> None:
        self._site = site
        self._dice = random.Random(f"nemesis {seed}")  # noqa: S311 - no secret
        self._history = history
        self._pause_s = pause_s
        self._members = site.of(*(roles or {member.role for member in site.members.values()}))
        self._edges = [edge for member in self._members for edge in member.edges]
        self._turns: dict[str, asyncio.Lock] = {}
        self.done: Counter[str] = Counter()
        self.deaths: Counter[str] = Counter()
        every = self._all()
        assert only <= every.keys(), f"unknown here: {only - every.keys()}"
        can_not = {"disk_full": site.disk is None, "clock_jump": site.faketime is None}
        wanted = sorted(only or every)
        self.absent = [name for name in wanted if can_not.get(name)]
        self._faults = {name: every[name] for name in wanted if name not in self.absent}
        self._menu: list[str] = []

    def _all(self) -> Mapping[str, Fault]:
        faults: dict[str, Fault] = {
            "kill": self._kill,
            "freeze": self._freeze,
            "stop": self._stop_in_order,
            "failpoint": self._die_at_a_place,
            "edge_reset": self._reset_edge,
            "edge_silent": self._silence_edge,
            "edge_refuse": self._refuse_edge,
            "edge_delay": self._delay_edge,
            "answer_lost": self._lose_an_answer,
            "backends_terminated": self._terminate_backends,
            "database_killed": self._kill_database,
            "database_stopped": self._stop_database,
            "rows_locked": self._lock_rows,
            "disk_full": self._fill_disk,
            "clock_jump": self._jump_clock,
        }
        if self._site.broker is not None:
            faults |= {
                "broker_killed": self._kill_broker,
                "broker_wiped": self._wipe_broker,
                "hints_deleted": self._delete_hints,
                "broker_connections_closed": self._close_broker_connections,
            }
        return faults

    async def run(self, count: int) -> None:
        """Do faults until so many have happened, at least one of each kind before any comes again."""
        for _ in range(_ROUNDS):
            async with asyncio.TaskGroup() as group:
                for _ in range(count - self.done.total()):
                    group.create_task(self._do(self._next()))
                    await asyncio.sleep(self._dice.uniform(0.3, 1.7) * self._pause_s)
            if self.done.total() >= count:
                return
        raise AssertionError(f"of {count} faults only {dict(self.done)} happened")

    def _next(self) -> str:
        if not self._menu:
            self._menu = list(self._faults)
            self._dice.shuffle(self._menu)
        return self._menu.pop()

    async def _do(self, name: str) -> None:
        if await self._faults[name]():
            self.done[name] += 1
        else:
            self._menu.append(name)

    async def heal(self) -> None:
        """Undo everything, and wait until all processes serve again."""
        for edge in self._site.edges:
            edge.heal()
        await self._revive_database()
        for member in self._site.members.values():
            member.signal(signal.SIGCONT)
            for place in member.failpoints.glob("*"):
                place.unlink()
            if not member.is_alive:
                member.start()
        await self._site.serves()

    # Processes.

    async def _kill(self) -> bool:
        async with self._a_member() as member:
            member.kill()
            is_killed = member.was_ended_by(signal.SIGKILL)
            await asyncio.sleep(self._dice.uniform(0, 2))
            await self._start(member)
        return is_killed

    async def _freeze(self) -> bool:
        async with self._a_member() as member:
            member.signal(signal.SIGSTOP)
            await asyncio.sleep(self._dice.choice((_HALF_TTL_S, 2.5 * LEASE_TTL_S)))
            was_frozen = member.is_frozen
            member.signal(signal.SIGCONT)
        return was_frozen

    async def _stop_in_order(self) -> bool:
        async with self._a_member() as member:
            is_told = member.signal(signal.SIGTERM)
            has_ended = await _within(15, lambda: not member.is_alive)
            member.kill()
            await self._start(member)
        return is_told and has_ended

    async def _die_at_a_place(self) -> bool:
        async with self._a_member(*PLACES) as member:
            place = self._dice.choice(PLACES[member.role])
            (member.failpoints / place).touch()
            await _within(4, lambda: not member.is_alive)
            (member.failpoints / place).unlink(missing_ok=True)
            has_died = member.was_ended_by(signal.SIGKILL)
            if not member.is_alive:
                await self._start(member)
        self.deaths[f"died_{place}"] += has_died
        return has_died

    async def _jump_clock(self) -> bool:
        async with self._a_member("worker") as member:
            member.clock.write_text(self._dice.choice(("-3600s", "+3600s", "+15s", "-15s")))
            has_jumped = await _within(4, lambda: member.clock_error_s > 10)
            await asyncio.sleep(self._dice.uniform(0, 2))
            member.clock.write_text("+0s")
            await asyncio.sleep(self._dice.uniform(1, 3))
        return has_jumped

    async def _start(self, member: Member) -> None:
        if not member.is_alive:
            member.start()
        # A start may fail while the database is away for long; then it is tried again.
        for _ in range(3):
            await self._until_ready_or_ended(member)
            if member.is_alive:
                return
            member.start()

    async def _until_ready_or_ended(self, member: Member) -> None:
        async def look() -> bool:
            assert member.program is not None
            return member.program.ready_file.exists() or not member.is_alive

        with suppress(AssertionError):
            await eventually(look, f"{member.name} to be ready", timeout_s=_STARTUP_S)

    @asynccontextmanager
    async def _a_member(self, *roles: str) -> AsyncIterator[Member]:
        """Choose a process that no other fault is busy with."""
        member = self._dice.choice(self._site.of(*roles) if roles else self._members)
        async with self._turns.setdefault(member.name, asyncio.Lock()):
            yield member

    # Edges.

    def _an_edge(self) -> Edge:
        """Choose a cable that somebody uses, if there is one at the moment."""
        return self._dice.choice([edge for edge in self._edges if edge.is_used] or self._edges)

    async def _reset_edge(self) -> bool:
        edge = self._an_edge()
        is_used = edge.is_used
        edge.reset()
        return is_used

    async def _silence_edge(self) -> bool:
        seconds = self._dice.choice((1, 3, 7))
        return await self._hold(Edge.fall_silent, seconds, {"swallowed"})

    async def _refuse_edge(self) -> bool:
        seconds = self._dice.uniform(0.5, 5)
        return await self._hold(Edge.refuse, seconds, {"reset", "refused"})

    async def _delay_edge(self) -> bool:
        delay_s, seconds = self._dice.choice((0.02, 0.2, 0.8)), self._dice.uniform(1, 4)

        def delay(edge: Edge) -> None:
            edge.delay_s = delay_s

        return await self._hold(delay, seconds, {"delayed"})

    async def _lose_an_answer(self) -> bool:
        edges = [edge for edge in self._site.edges if edge.name.endswith(":database")]
        edge = self._dice.choice(edges)
        async with self._turns.setdefault(edge.name, asyncio.Lock()):
            lost_before = edge.felt["lost"]
            edge.lose_an_answer()
            is_lost = await _within(3, lambda: edge.felt["lost"] > lost_before)
            edge.keep_answers()
        return is_lost

    async def _hold(
        self, harm: Callable[[Edge], None], seconds: float, effects: Collection[str]
    ) -> bool:
        """Harm a cable for a while; tell whether one of these effects was felt meanwhile."""
        edge = self._an_edge()
        async with self._turns.setdefault(edge.name, asyncio.Lock()):
            before = Counter(edge.felt)
            harm(edge)
            await asyncio.sleep(seconds)
            is_felt = any(edge.felt[effect] > before[effect] for effect in effects)
            edge.heal()
        return is_felt

    # The database.

    async def _terminate_backends(self) -> bool:
        rows = await self._fetch(
            "SELECT pid, pg_terminate_backend(pid) AS is_told FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.7"
        )
        told = [row["pid"] for row in rows or () if row["is_told"]]
        left = await self._fetch("SELECT pid FROM pg_stat_activity WHERE pid = ANY($1)", told)
        return left is not None and len(left) < len(told)

    async def _kill_database(self) -> bool:
        return await self._break_database(
            self._site.kill_database, self._dice.choice((0, 0.5, 2 * LEASE_TTL_S))
        )

    async def _stop_database(self) -> bool:
        return await self._break_database(self._site.stop_database, self._dice.uniform(0, 1))

    async def _break_database(self, harm: Callable[[], None], seconds: float) -> bool:
        async with self._turns.setdefault("database", asyncio.Lock()):
            did_run = self._site.database_runs
            harm()
            has_ended = await _within(5, lambda: not self._site.database_runs)
            await asyncio.sleep(seconds)
            await self._revive_database()
        return did_run and has_ended

    async def _revive_database(self) -> None:
        async def answers() -> bool:
            self._site.revive_database()
            return await self._fetch("SELECT 1") is not None

        await eventually(answers, "the database to serve", timeout_s=60)

    async def _lock_rows(self) -> bool:
        """Hold what waits, so that claims are on their way while the lease of their worker runs out."""
        is_hit = False
        async with self._a_member("worker") as member:
            with suppress(*_AWAY):
                async with self._a_connection() as sql, sql.transaction():
                    locked = await sql.fetch(
                        "SELECT id FROM taskmill.task WHERE status = 'new' FOR UPDATE", timeout=3
                    )
                    if locked:
                        await asyncio.sleep(LEASE_TTL_S / 8)
                        is_hit = member.signal(self._dice.choice((signal.SIGSTOP, signal.SIGKILL)))
                        await asyncio.sleep(LEASE_TTL_S * self._dice.uniform(1, 1.6))
            if is_hit:
                await asyncio.sleep(LEASE_TTL_S)
            member.signal(signal.SIGCONT)
            await self._start(member)
        return is_hit

    async def _fill_disk(self) -> bool:
        async with self._turns.setdefault("database", asyncio.Lock()):
            is_full = await asyncio.to_thread(self._site.fill_disk)
            await asyncio.sleep(self._dice.uniform(1, 3))
            self._site.empty_disk()
            await self._revive_database()
        return is_full

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record] | None:
        """Run a statement past all edges; None when the database is away."""
        with suppress(*_AWAY):
            async with self._a_connection() as sql:
                rows: list[asyncpg.Record] = await sql.fetch(statement, *arguments, timeout=3)
                return rows
        return None

    @asynccontextmanager
    async def _a_connection(self) -> AsyncIterator[Sql]:
        sql = await asyncpg.connect(self._site.database_url, timeout=3)
        try:
            yield sql
        finally:
            sql.terminate()

    # The broker.

    async def _kill_broker(self) -> bool:
        return await self._break_broker(self._broker.kill, self._dice.choice((0, 1, 5)))

    async def _wipe_broker(self) -> bool:
        is_wiped = await self._break_broker(self._broker.wipe, 0)
        # What nobody had taken yet was the broker's alone.
        self._history.broker_wiped_at = asyncio.get_running_loop().time()
        return is_wiped

    async def _break_broker(self, harm: Callable[[], None], seconds: float) -> bool:
        async with self._turns.setdefault("broker", asyncio.Lock()):
            did_run = self._broker.pid is not None
            await asyncio.to_thread(harm)
            has_ended = self._broker.pid is None
            await asyncio.sleep(seconds)
            self._broker.spawn()
            await asyncio.to_thread(self._broker.wait)
        return did_run and has_ended

    async def _delete_hints(self) -> bool:
        deleted = 0
        async with self._turns.setdefault("broker", asyncio.Lock()):
            management = self._broker.management()
            names = [n for n in await asyncio.to_thread(management.queues) if n.startswith(HINTS)]
            for name in names:
                with suppress(AssertionError):  # another has deleted it
                    await asyncio.to_thread(management.delete_queue, name)
                    deleted += 1
        return deleted > 0

    async def _close_broker_connections(self) -> bool:
        async with self._turns.setdefault("broker", asyncio.Lock()):
            return await asyncio.to_thread(self._broker.management().close_connections) > 0

    @property
    def _broker(self) -> BrokerServer:
        assert self._site.broker is not None
        return self._site.broker


async def _within(seconds: float, is_so: Callable[[], bool]) -> bool:
    """Tell whether it became so in time."""

    async def look() -> bool:
        return is_so()

    with suppress(AssertionError):
        return await eventually(look, "it to be so", timeout_s=seconds)
    return False
