"""Does harm to a site: one fault after the other, chosen and timed by a seed, each undone after a while.

Faults overlap. Which processes and edges are hit, for how long, and what comes next is drawn from the seed alone.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from taskmill.amqp.names import HINTS
from tests.chaos.edges import Edge
from tests.chaos.failpoints import PLACES
from tests.chaos.history import History
from tests.chaos.site import LEASE_TTL_S, Member, Site
from tests.support.polling import eventually
from tests.support.rabbitmq import BrokerServer

_HALF_TTL_S = LEASE_TTL_S / 2
_STARTUP_S = 40.0

Fault: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Nemesis:
    """All that can go wrong. `run` does so many faults; afterwards `heal` undoes what is left."""

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
        self._faults = {
            name: fault for name, fault in self._all().items() if not only or name in only
        }
        self.absent = [name for name in only if name not in self._faults]

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
        }
        if self._site.broker is not None:
            faults |= {
                "broker_killed": self._kill_broker,
                "broker_wiped": self._wipe_broker,
                "hints_deleted": self._delete_hints,
                "broker_connections_closed": self._close_broker_connections,
            }
        if self._site.disk is not None:
            faults["disk_full"] = self._fill_disk
        if self._site.faketime is not None:
            faults["clock_jump"] = self._jump_clock
        return faults

    async def run(self, count: int) -> None:
        """Do so many faults, at least one of each kind before any comes again."""
        menu: list[str] = []
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                if not menu:
                    menu = sorted(self._faults)
                    self._dice.shuffle(menu)
                name = menu.pop()
                self.done[name] += 1
                group.create_task(self._faults[name]())
                await asyncio.sleep(self._dice.uniform(0.3, 1.7) * self._pause_s)

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

    async def _kill(self) -> None:
        async with self._a_member() as member:
            member.kill()
            await asyncio.sleep(self._dice.uniform(0, 2))
            await self._start(member)

    async def _freeze(self) -> None:
        async with self._a_member() as member:
            member.signal(signal.SIGSTOP)
            await asyncio.sleep(self._dice.choice((_HALF_TTL_S, 2.5 * LEASE_TTL_S)))
            member.signal(signal.SIGCONT)

    async def _stop_in_order(self) -> None:
        async with self._a_member() as member:
            member.signal(signal.SIGTERM)
            with suppress(AssertionError):
                await eventually(lambda: _ended(member), "its end", timeout_s=15)
            member.kill()
            await self._start(member)

    async def _die_at_a_place(self) -> None:
        async with self._a_member(*PLACES) as member:
            place = self._dice.choice(PLACES[member.role])
            (member.failpoints / place).touch()
            with suppress(AssertionError):
                await eventually(lambda: _ended(member), "its end", timeout_s=4)
            (member.failpoints / place).unlink(missing_ok=True)
            if not member.is_alive:
                self.done[f"died_{place}"] += 1
                await self._start(member)

    async def _jump_clock(self) -> None:
        async with self._a_member("worker") as member:
            for offset in (self._dice.choice(("-3600s", "+3600s", "+15s", "-15s")), "+0s"):
                member.clock.write_text(offset)
                await asyncio.sleep(self._dice.uniform(1, 3))

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
        return self._dice.choice(self._edges)

    async def _reset_edge(self) -> None:
        self._an_edge().reset()

    async def _silence_edge(self) -> None:
        await self._hold(self._an_edge(), Edge.fall_silent, self._dice.choice((1, 3, 7)))

    async def _refuse_edge(self) -> None:
        await self._hold(self._an_edge(), Edge.refuse, self._dice.uniform(0.5, 5))

    async def _delay_edge(self) -> None:
        edge = self._an_edge()
        async with self._turns.setdefault(edge.name, asyncio.Lock()):
            edge.delay_s = self._dice.choice((0.02, 0.2, 0.8))
            await asyncio.sleep(self._dice.uniform(1, 4))
            edge.heal()

    async def _lose_an_answer(self) -> None:
        edges = [edge for edge in self._site.edges if edge.name.endswith(":database")]
        edge = self._dice.choice(edges)
        edge.lose_an_answer()
        lost_before = edge.answers_lost

        async def is_lost() -> bool:
            return edge.answers_lost > lost_before

        with suppress(AssertionError):
            await eventually(is_lost, "an answer to be lost", timeout_s=3)

    async def _hold(self, edge: Edge, harm: Callable[[Edge], None], seconds: float) -> None:
        async with self._turns.setdefault(edge.name, asyncio.Lock()):
            harm(edge)
            await asyncio.sleep(seconds)
            edge.heal()

    # The database.

    async def _terminate_backends(self) -> None:
        await self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.7"
        )

    async def _kill_database(self) -> None:
        await self._break_database(
            self._site.kill_database, self._dice.choice((0, 0.5, 2 * LEASE_TTL_S))
        )

    async def _stop_database(self) -> None:
        await self._break_database(self._site.stop_database, self._dice.uniform(0, 1))

    async def _break_database(self, harm: Callable[[], None], seconds: float) -> None:
        async with self._turns.setdefault("database", asyncio.Lock()):
            harm()
            await asyncio.sleep(seconds)
            await self._revive_database()

    async def _revive_database(self) -> None:
        async def answers() -> bool:
            self._site.revive_database()
            return await self._execute("SELECT 1")

        await eventually(answers, "the database to serve", timeout_s=60)

    async def _lock_rows(self) -> None:
        """Hold what waits, so that claims are on their way while the lease of their worker runs out."""
        async with self._a_member("worker") as member:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection = await asyncpg.connect(self._site.database_url, timeout=3)
                try:
                    async with connection.transaction():
                        await connection.execute(
                            "SELECT FROM taskmill.task WHERE status = 'new' FOR UPDATE"
                        )
                        await asyncio.sleep(LEASE_TTL_S / 8)
                        member.signal(self._dice.choice((signal.SIGSTOP, signal.SIGKILL)))
                        await asyncio.sleep(LEASE_TTL_S * self._dice.uniform(1, 1.6))
                finally:
                    connection.terminate()
            await asyncio.sleep(LEASE_TTL_S)
            member.signal(signal.SIGCONT)
            await self._start(member)

    async def _fill_disk(self) -> None:
        assert self._site.disk is not None
        async with self._turns.setdefault("database", asyncio.Lock()):
            ballast = self._site.disk / "ballast"
            await asyncio.to_thread(_fill, ballast)
            await asyncio.sleep(self._dice.uniform(1, 3))
            ballast.unlink()
            await self._revive_database()

    async def _execute(self, statement: str) -> bool:
        """Run a statement past all edges; False when the database is away."""
        try:
            connection = await asyncpg.connect(self._site.database_url, timeout=3)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        try:
            await connection.execute(statement, timeout=3)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        finally:
            connection.terminate()
        return True

    # The broker.

    async def _kill_broker(self) -> None:
        await self._break_broker(self._broker.kill, self._dice.choice((0, 1, 5)))

    async def _wipe_broker(self) -> None:
        await self._break_broker(self._broker.wipe, 0)
        # What nobody had taken yet was the broker's alone.
        self._history.broker_wiped_at = asyncio.get_running_loop().time()

    async def _break_broker(self, harm: Callable[[], None], seconds: float) -> None:
        async with self._turns.setdefault("broker", asyncio.Lock()):
            await asyncio.to_thread(harm)
            await asyncio.sleep(seconds)
            self._broker.spawn()
            await asyncio.to_thread(self._broker.wait)

    async def _delete_hints(self) -> None:
        async with self._turns.setdefault("broker", asyncio.Lock()):
            management = self._broker.management()
            names = [n for n in await asyncio.to_thread(management.queues) if n.startswith(HINTS)]
            for name in names:
                with suppress(AssertionError):  # another has deleted it
                    await asyncio.to_thread(management.delete_queue, name)

    async def _close_broker_connections(self) -> None:
        async with self._turns.setdefault("broker", asyncio.Lock()):
            await asyncio.to_thread(self._broker.management().close_connections)

    @property
    def _broker(self) -> BrokerServer:
        assert self._site.broker is not None
        return self._site.broker


async def _ended(member: Member) -> bool:
    return not member.is_alive


def _fill(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            os.write(ballast.fileno(), bytes(2**20))
