"""Schedules with ticks every second, and an operator who pauses, replaces, runs and backfills them meanwhile."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import httpx

from taskmill.runtime.clock import SystemClock
from tests.chaos.checker import TICK, Sql
from tests.chaos.site import Site
from tests.support.polling import eventually

_TIMEOUT_S: Final = 6.0
_PAUSE_S: Final = 0.1
# Within so many seconds every schedule must have come up to the present, once all is healed.
_MOST_LATE_S: Final = 60.0
_PRESENT: Final = timedelta(seconds=5)
_MILLISECOND: Final = timedelta(milliseconds=1)
_OVERLAPS: Final = ("allow", "allow", "allow", "skip", "hold_one", "cancel_running")
_BEHIND: Final = """
    SELECT s.name FROM taskmill.schedule AS s JOIN taskmill.schedule_cursor AS c ON c.schedule_id = s.id
    WHERE c.paused_at IS NULL AND c.cursor_at < clock_timestamp() - $1::interval ORDER BY s.name
"""
_UNRECORDED: Final = """
    SELECT id FROM taskmill.task WHERE source = 'schedule'
    AND id NOT IN (SELECT task_id FROM taskmill.schedule_fire WHERE task_id IS NOT NULL) LIMIT 5
"""
_WITHOUT_TASK: Final = """
    SELECT schedule_id, tick FROM taskmill.schedule_fire WHERE task_id IS NOT NULL
    AND task_id NOT IN (SELECT id FROM taskmill.task) LIMIT 5
"""


class Schedules:
    """`count` schedules, each with a tick every second, at different moments of it."""

    def __init__(self, site: Site, seed: int, count: int) -> None:
        self._site = site
        self._dice = random.Random(f"schedules {seed}")  # noqa: S311 - no secret
        self._bodies = {f"s{number}": self._body(number, count) for number in range(count)}
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_S)

    async def run(self, stop: asyncio.Event) -> None:
        """Put them, and then operate on them at random until stopped."""
        async with self._http:
            for name, body in self._bodies.items():
                await self._until_done("PUT", name, body)
            while not stop.is_set():
                with suppress(httpx.TransportError):
                    await self._operate(self._dice.choice(tuple(self._bodies)))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PAUSE_S):
                        await stop.wait()

    async def end(self) -> list[str]:
        """Have all go on; return those that do not come up to the present. Then pause them."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as self._http:
            for name in self._bodies:
                await self._until_done("PATCH", name, {"paused": False})
            violations = await self._behind()
            for name in self._bodies:
                await self._until_done("PATCH", name, {"paused": True})
        return violations

    async def _behind(self) -> list[str]:
        sql = await asyncpg.connect(self._site.database_url)
        behind: list[str] = []

        async def all_are_present() -> bool:
            behind[:] = [row["name"] for row in await sql.fetch(_BEHIND, _PRESENT)]
            return not behind

        try:
            with suppress(AssertionError):
                await eventually(all_are_present, "all schedules to fire", timeout_s=_MOST_LATE_S)
        finally:
            await sql.close()
        return [f"schedule_silent: {name} fires no more" for name in behind]

    def _body(self, number: int, count: int) -> dict[str, Any]:
        anchor = datetime(2001, 1, 1, tzinfo=UTC) + _MILLISECOND * (number * 1000 // count)
        return {
            "every": "PT1S",
            "anchor": anchor.isoformat(),
            "overlap": self._dice.choice(_OVERLAPS),
            "catch_up": self._dice.choice(("none", "latest", "all")),
            "task": {"name": TICK, "type": "work", "payload": {"delay_s": 0}, "max_losses": 50},
        }

    async def _operate(self, name: str) -> None:
        kind = self._dice.random()
        if kind < 0.3:
            await self._send("PATCH", name, {"paused": self._dice.random() < 0.4})
        elif kind < 0.6:
            overlap = self._dice.choice(_OVERLAPS)
            self._bodies[name] = {**self._bodies[name], "overlap": overlap}
            await self._send("PUT", name, self._bodies[name])
        elif kind < 0.8:
            await self._send("POST", f"{name}/run", None)
        else:
            until = SystemClock().now()
            since = until - timedelta(seconds=self._dice.uniform(1, 20))
            wanted = {"from": since.isoformat(), "to": until.isoformat()}
            await self._send("POST", f"{name}/backfill", wanted)

    async def _until_done(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        async def is_done() -> bool:
            with suppress(httpx.TransportError):
                return await self._send(method, path, body) in {200, 201}
            return False

        await eventually(is_done, f"{method} of {path}", timeout_s=60)

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> int:
        """Return the status of the response; 0 while the API starts."""
        if self._site.api_url is None:
            return 0
        url = f"{self._site.api_url}/schedules/{path}"
        return (await self._http.request(method, url, json=body)).status_code


async def fire_findings(sql: Sql) -> list[str]:
    """Return what is wrong between fires and tasks: they are written together, or not at all."""
    return [
        *(f"tick_unrecorded: {row['id']} has no fire" for row in await sql.fetch(_UNRECORDED)),
        *(f"tick_without_task: {dict(row)}" for row in await sql.fetch(_WITHOUT_TASK)),
    ]
