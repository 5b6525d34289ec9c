"""Workers that pull tasks over HTTP, with another library than the clients, and record effects as handlers do.

aiohttp sends a content type even without a body, which a server must accept.
"""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import aiohttp
import orjson

from tests.chaos.effects import Effects
from tests.chaos.site import Site
from tests.support.polling import eventually

TYPE = "pulled"
_PULLERS = 2
_SLOTS = 20
_TTL_S = 2.0
_WAIT_S = 0.5
_TIMEOUT_S = 6.0
_PAUSE_S = 0.2
# Far longer than a lease is valid without a renewal; a task is cancelled with its lease.
_GIVE_UP_S = 120.0
_AWAY = (aiohttp.ClientError, TimeoutError)


class Pullers:
    """Pulls tasks until stopped; leases that are open then expire."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._effects = Effects(site.effects)

    async def run(self, stop: asyncio.Event) -> None:
        """Lease tasks, work, renew and report, even if responses are lost."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as http, asyncio.TaskGroup() as group:
            for number in range(_PULLERS):
                group.create_task(self._pull_until(stop, http, f"puller-{number + 1}"))

    async def _pull_until(
        self, stop: asyncio.Event, http: aiohttp.ClientSession, worker: str
    ) -> None:
        request = {"worker": worker, "types": [TYPE], "limit": _SLOTS, "wait_s": _WAIT_S}
        async with asyncio.TaskGroup() as leases:
            while not stop.is_set():
                lease = await self._send(http, "/leases", {**request, "ttl_s": _TTL_S})
                if lease and "tasks" in lease:
                    leases.create_task(self._work(http, lease))
                else:
                    await asyncio.sleep(_PAUSE_S)

    async def _work(self, http: aiohttp.ClientSession, lease: dict[str, Any]) -> None:
        """Do all tasks of a lease at once, until a renewal says that they belong to another worker."""
        async with asyncio.TaskGroup() as group:
            tasks = {
                task["id"]: group.create_task(self._attempt(http, lease["lease_id"], task))
                for task in lease["tasks"]
            }
            renewing = group.create_task(self._renew(http, lease["lease_id"], tasks))
            await asyncio.wait(tasks.values())
            renewing.cancel()

    async def _renew(
        self, http: aiohttp.ClientSession, lease_id: str, tasks: dict[str, asyncio.Task[None]]
    ) -> None:
        while True:
            await asyncio.sleep(_TTL_S / 3)
            response = await self._send(http, f"/leases/{lease_id}/renew")
            if response is None:
                continue
            held = set(response.get("tasks", ())) - set(response.get("cancel", ()))
            for task_id in tasks.keys() - held:
                tasks[task_id].cancel()

    async def _attempt(
        self, http: aiohttp.ClientSession, lease_id: str, task: dict[str, Any]
    ) -> None:
        payload, claim = task["payload"], (UUID(task["id"]), task["claim_no"])
        fence = {"lease_id": lease_id, "claim_no": task["claim_no"]}
        self._effects.note("begin", *claim)
        await asyncio.sleep(payload["delay_s"])
        if task["attempt"] <= payload.get("failures", 0) or payload.get("is_hopeless"):
            error = {"type": "ValueError", "message": "it fails, as its payload asks"}
            end = {"error": error, "permanent": bool(payload.get("is_hopeless"))}
            await self._report(http, f"/tasks/{task['id']}/fail", {**fence, **end})
            return
        self._effects.note("end", *claim)
        await self._report(http, f"/tasks/{task['id']}/finish", {**fence, "result": None})

    async def _report(
        self, http: aiohttp.ClientSession, path: str, body: dict[str, object]
    ) -> None:
        """Report an end until there is a response; this is cancelled if the task belongs to another worker."""

        async def has_response() -> bool:
            return await self._send(http, path, body) is not None

        await eventually(has_response, f"a response to {path}", timeout_s=_GIVE_UP_S)

    async def _send(
        self, http: aiohttp.ClientSession, path: str, body: object = None
    ) -> dict[str, Any] | None:
        """Return the response, which may be a problem; None if the request must be retried."""
        url = self._site.api_url
        if url is None:
            return None
        data = None if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        with suppress(*_AWAY):
            async with http.post(f"{url}{path}", data=data, headers=headers) as response:
                content = await response.read()
                if response.status not in {204, 503}:
                    result: dict[str, Any] = orjson.loads(content)
                    return result
        return None
