"""Faults of Taskmill's processes: killed, frozen, stopped, dead at a failpoint, with a wrong clock."""

import asyncio
import signal
from collections import Counter
from collections.abc import Mapping

from tests.chaos.failpoints import FAILPOINTS
from tests.chaos.faults.scene import Fault, Scene, within
from tests.chaos.site import LEASE_TTL_S

_HALF_TTL_S = LEASE_TTL_S / 2


class ProcessFaults:
    """Faults of processes; `deaths` counts the failpoints at which they died."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._dice = scene.dice
        self.deaths: Counter[str] = Counter()

    def all(self) -> Mapping[str, Fault]:
        """Return all faults by name."""
        return {
            "kill": self._kill,
            "freeze": self._freeze,
            "stop": self._stop_in_order,
            "failpoint": self._die_at_a_failpoint,
            "clock_jump": self._jump_clock,
            # A clock matters to those who fire schedules, if to anybody.
            **({"clock_skew": self._skew_clock} if self._scene.site.schedulers > 1 else {}),
        }

    async def heal(self) -> None:
        """Make every process run again."""
        for member in self._scene.site.members.values():
            member.signal(signal.SIGCONT)
            for failpoint in member.failpoints.glob("*"):
                failpoint.unlink()
            if not member.is_alive:
                member.start()

    async def _kill(self) -> bool:
        async with self._scene.a_member() as member:
            member.kill()
            is_killed = member.was_ended_by(signal.SIGKILL)
            await asyncio.sleep(self._dice.uniform(0, 2))
            await self._scene.start(member)
        return is_killed

    async def _freeze(self) -> bool:
        async with self._scene.a_member() as member:
            member.signal(signal.SIGSTOP)
            await asyncio.sleep(self._dice.choice((_HALF_TTL_S, 2.5 * LEASE_TTL_S)))
            was_frozen = member.is_frozen
            member.signal(signal.SIGCONT)
        return was_frozen

    async def _stop_in_order(self) -> bool:
        async with self._scene.a_member() as member:
            is_signalled = member.signal(signal.SIGTERM)
            has_ended = await within(15, lambda: not member.is_alive)
            member.kill()
            await self._scene.start(member)
        return is_signalled and has_ended

    async def _die_at_a_failpoint(self) -> bool:
        fires = self._scene.site.schedulers > 1
        roles = [role for role in FAILPOINTS if fires or role != "maintenance"]
        async with self._scene.a_member(*roles) as member:
            failpoint = self._dice.choice(FAILPOINTS[member.role])
            (member.failpoints / failpoint).touch()
            await within(4, lambda: not member.is_alive)
            (member.failpoints / failpoint).unlink(missing_ok=True)
            has_died = member.was_ended_by(signal.SIGKILL)
            if not member.is_alive:
                await self._scene.start(member)
        self.deaths[f"died_{failpoint}"] += has_died
        return has_died

    async def _jump_clock(self) -> bool:
        return await self._move_clock("worker")

    async def _skew_clock(self) -> bool:
        return await self._move_clock("maintenance")

    async def _move_clock(self, role: str) -> bool:
        async with self._scene.a_member(role) as member:
            member.clock.write_text(self._dice.choice(("-3600s", "+3600s", "+15s", "-15s")))
            has_jumped = await within(4, lambda: member.clock_error_s > 10)
            await asyncio.sleep(self._dice.uniform(0, 2))
            member.clock.write_text("+0s")
            await asyncio.sleep(self._dice.uniform(1, 3))
        return has_jumped
