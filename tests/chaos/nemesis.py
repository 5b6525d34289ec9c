"""Injects faults into a site, one after the other, chosen and timed by a seed, each undone after a while.

Faults overlap. Which processes and edges are hit, for how long, and what comes next depends on the seed alone. A
fault counts only if it is proven to have happened: a process is gone, a response was lost, the disk was full.
Otherwise it is tried again. The faults themselves are in `faults`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping, Sequence

from taskmill.runtime.clock import SystemClock
from tests.chaos.faults.broker import BrokerFaults
from tests.chaos.faults.database import DatabaseFaults
from tests.chaos.faults.network import NetworkFaults
from tests.chaos.faults.processes import ProcessFaults
from tests.chaos.faults.scene import Fault, Faults, Scene
from tests.chaos.history import History
from tests.chaos.site import Site

# How many rounds faults that had no effect are tried again in.
_ROUNDS = 8


class Nemesis:
    """All kinds of faults. `run` injects a number of them; afterwards `heal` undoes what is left.

    `done` counts the faults by kind, `deaths` the failpoints at which processes died. `absent` are the kinds that
    this machine can't do. `timeline` has when each fault began and ended.
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
        self._pause_s = pause_s
        members = site.of(*(roles or {member.role for member in site.members.values()}))
        scene = Scene(site=site, dice=self._dice, history=history, members=members)
        processes = ProcessFaults(scene)
        # In the order in which they are healed: processes start when their servers serve.
        self._kinds: Sequence[Faults] = (
            NetworkFaults(scene),
            DatabaseFaults(scene),
            *([BrokerFaults(scene, site.broker)] if site.broker is not None else []),
            processes,
        )
        self.done: Counter[str] = Counter()
        self.timeline: list[str] = []
        self.deaths = processes.deaths
        every: Mapping[str, Fault] = {k: v for kind in self._kinds for k, v in kind.all().items()}
        assert only <= every.keys(), f"unknown here: {only - every.keys()}"
        can_not = {"disk_full": site.disk is None, "clock_jump": site.faketime is None}
        wanted = sorted(only or every)
        self.absent = [name for name in wanted if can_not.get(name)]
        self._faults = {name: every[name] for name in wanted if name not in self.absent}
        self._menu: list[str] = []

    async def run(self, count: int) -> None:
        """Inject faults until `count` have happened, each kind once before any is repeated."""
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
        began_at = _now()
        has_happened = await self._faults[name]()
        result = "done" if has_happened else "in vain"
        self.timeline.append(f"{began_at} to {_now()}: {name}, {result}")
        if has_happened:
            self.done[name] += 1
        else:
            self._menu.append(name)

    async def heal(self) -> None:
        """Undo everything, and wait until all processes serve again."""
        self.timeline.append(f"{_now()}: heal")
        for kind in self._kinds:
            await kind.heal()
        await self._site.serves()


def _now() -> str:
    """Return the time of day, as log lines have it."""
    return f"{SystemClock().now():%H:%M:%S.%f}"
