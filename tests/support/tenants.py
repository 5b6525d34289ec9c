"""Tenants of one service, each with a key for its own queues: they work, and keep every byte that they receive.

A tenant's mark is in each of its names and contents, so that anything of it is found wherever it comes out.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx
import orjson

from tests.support.api import PLAIN, Served
from tests.support.api_keys import a_new_key, shown
from tests.support.endpoint import Endpoint, an_endpoint
from tests.support.stage import Stage

# Without digits, and letters of hexadecimal numbers: kinds of errors leave these out.
_LETTERS: Final = "ghijklmnopqrstuvwxyz"
LINES: Final = {"content-type": "application/x-ndjson"}
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
SHARED_KEY: Final = "order-%d"
"""Idempotency keys that all tenants use."""

# `Q` and `T` stand for the tenant's queue and type, `M` for its mark.
READS: Final = (
    "/tasks",
    "/tasks?limit=3&order=asc",
    "/tasks?queue=Q&status=failed&status=new",
    "/tasks?type=T&name=a",
    "/tasks?label=M-label%3DM-value",
    "/tasks?limit=2&offset=5",
    "/queues",
    "/stats",
    "/stats?window=5m",
    "/stats?window=1h&queue=Q&type=T",
    "/workers",
    "/failures",
    "/failures?queue=Q&type=T&order=newest",
    "/rejections",
    "/types",
    "/types/T",
    "/webhooks",
    "/task_service/api/v1/task/",
    "/ui/tasks",
    "/ui/tasks?type=T",
    "/ui/tasks/export.csv",
    "/ui/tasks/export.ndjson",
    "/ui/queues",
    "/ui/workers",
    "/ui/failures",
    "/ui/rejections",
    "/ui/create",
    "/ui/create?type=T",
    "/ui/sessions",
    "/",
)
ERRORS: Final = (
    ("GET", "/metrics"),
    ("GET", "/audit"),
    ("GET", "/ui/audit"),
    ("GET", "/nowhere"),
    ("GET", "/ui/nowhere"),
    ("GET", "/tasks?cursor=nonsense"),
    ("GET", "/tasks?status=none"),
    ("GET", "/queues?name=a"),
    ("GET", "/types/others"),
    ("PUT", "/types/others"),
    ("DELETE", "/types/others"),
    ("DELETE", "/queues/others"),
    ("PATCH", "/queues/others"),
    ("DELETE", "/tasks"),
    ("POST", "/tasks"),
    ("POST", "/leases"),
    ("GET", "/tasks/01a2104d-0554-7000-aa31-7e1796e3ff04"),
    ("POST", "/workers/01a2104d-0554-7000-aa31-7e1796e3ff04/quiet"),
    ("GET", "/webhooks/01a2104d-0554-7000-aa31-7e1796e3ff04"),
    ("GET", "/failures/0123456789abcdef"),
    ("POST", "/failures/0123456789abcdef/resolve"),
    ("GET", "/rejections/01a2104d-0554-7000-aa31-7e1796e3ff04"),
)
OF_A_TASK: Final = ("", "/events", "/logs", "/explain", "/deliveries")


@dataclass(kw_only=True)
class Tenant:
    """A key, a client that uses it, an endpoint of its own, and all that came in."""

    mark: str
    http: httpx.AsyncClient
    endpoint: Endpoint
    received: bytearray = field(default_factory=bytearray)
    ids: list[str] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def at(cls, served: Served, stage: Stage) -> AsyncIterator[Self]:
        """Give a tenant a key for queues and types that begin with its mark."""
        mark = "".join(random.choices(_LETTERS, k=14))  # noqa: S311 - no secret
        own = f"queue={mark}-*"
        scopes = ("tasks:read", "tasks:read-secret", "tasks:operate", "webhooks")
        key = await a_new_key(
            stage.database,
            *(f"{scope} {own}" for scope in scopes),
            *(f"{scope} {own} type={mark}-*" for scope in ("tasks:create", "worker")),
            f"types type={mark}-*",
            "outbound host=127.0.0.1",
            name=f"{mark}-key",
        )
        async with (
            an_endpoint() as endpoint,
            httpx.AsyncClient(
                base_url=served.url, timeout=60, headers=shown(key), verify=PLAIN
            ) as http,
        ):
            yield cls(mark=mark, http=http, endpoint=endpoint)

    @property
    def queue(self) -> str:
        """Its queue."""
        return f"{self.mark}-queue"

    @property
    def type(self) -> str:
        """The type of its tasks."""
        return f"{self.mark}-type"

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> Any:  # noqa: ANN401 - what came
        """Send a request, keep all that comes, and return it as JSON if it is."""
        content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.http.request(method, path, content=content, headers=named)
        self.received += f"{response.status_code} {response.reason_phrase}\n".encode()
        for name, value in response.headers.raw:
            self.received += name + b": " + value + b"\n"
        self.received += response.content + b"\n"
        assert response.status_code < 500, response.text
        is_json = "json" in response.headers.get("content-type", "")
        return response.json() if is_json and b"\n" not in response.content.strip() else None

    def task(self, number: int, **more: object) -> dict[str, object]:
        """A task with the mark in everything that it has."""
        return {
            "name": f"{self.mark} name {number}",
            "description": f"{self.mark} description",
            "queue": self.queue,
            "type": self.type,
            "payload": {"field": f"{self.mark} payload"},
            "labels": {f"{self.mark}-label": f"{self.mark}-value"},
            "max_attempts": 1,
            **more,
        }

    async def prepare(self) -> None:
        """Register a contract, and subscribe the endpoint."""
        schema = {"title": f"{self.mark} schema", "properties": {"field": {"type": "string"}}}
        contract = {"payload_schema": schema, "defaults": {"queue": self.queue}}
        await self.send("PUT", f"/types/{self.type}", contract)
        hook = {"url": f"{self.endpoint.url}/{self.mark}", "description": f"{self.mark} hook"}
        await self.send("POST", "/webhooks", {**hook, "statuses": ["new", "failed", "succeeded"]})

    async def produce(self, rounds: int) -> None:
        """Create tasks in all ways, some of which are refused."""
        for number in range(rounds):
            keyed = self.task(number, callback_url=f"{self.endpoint.url}/{self.mark}-done")
            key = {"idempotency_key": SHARED_KEY % number}
            made = await self.send("POST", "/tasks", keyed, **key)
            again = await self.send("POST", "/tasks", keyed, **key)
            assert made["id"] == again["id"], "it is the tenant's own key"
            await self.send("POST", "/tasks", self.task(-1), **key)
            batch = await self.send("POST", "/tasks/batch", [self.task(1), self.task(2)])
            self.ids += [made["id"], *batch["ids"]]
            lines = b"\n".join(map(orjson.dumps, (self.task(3), {"name": 5}, {"name": "a"})))
            await self.send(
                "POST", "/tasks/batch", lines, **{"content-type": LINES["content-type"]}
            )
            for wrong in ({"payload": {"field": number}}, {"queue": "others"}, {"type": "others"}):
                await self.send("POST", "/tasks", self.task(number, **wrong))

    async def work(self, rounds: int) -> None:
        """Take tasks, report on them, and end them in different ways."""
        for number in range(rounds):
            wanted = {"worker": f"{self.mark}-worker", "queues": [self.queue], "types": [self.type]}
            lease = await self.send("POST", "/leases", {**wanted, "limit": 3, "wait_s": 0.1})
            if lease is None or not lease.get("tasks"):
                continue
            for task in lease["tasks"]:
                await self._run(number, lease["lease_id"], task)

    async def _run(self, number: int, lease_id: str, task: dict[str, Any]) -> None:
        claim = {"lease_id": lease_id, "claim_no": task["claim_no"]}
        path = f"/tasks/{task['id']}"
        await self.send("POST", f"{path}/progress", {**claim, "message": f"{self.mark} progress"})
        await self.send("GET", path)
        lines = [{"message": f"{self.mark} line", "fields": {f"{self.mark}-field": 1}}]
        await self.send("POST", f"{path}/logs", {**claim, "first": 1, "lines": lines})
        if number % 3:
            await self.send("POST", f"{path}/finish", {**claim, "result": f"{self.mark} result"})
        else:
            error = {"type": f"{self.mark}-error", "message": f"{self.mark} message"}
            await self.send("POST", f"{path}/fail", {**claim, "error": error})
        await self.send("POST", f"{path}/finish", {**claim, "claim_no": 9})
        for rest in OF_A_TASK:
            await self.send("GET", path + rest)

    async def look(self, rounds: int) -> None:
        """Read all that there is, what is not there, and tasks by guessed numbers."""
        for number in range(rounds):
            for path in READS:
                named = path.replace("Q", self.queue).replace("T", self.type)
                found = await self.send("GET", named.replace("M-", f"{self.mark}-"))
                if path.startswith("/tasks") and found is not None and found["total"] is not None:
                    self.totals.append(found["total"])
            for method, path in ERRORS:
                await self.send(method, path, None if method == "GET" else {"name": 5})
            for rest in OF_A_TASK:
                await self.send("GET", f"/tasks/{number * 7 + 1}{rest}")
                if self.ids:
                    await self.send("GET", f"/tasks/{self.ids[-1]}{rest}")
                    await self.send("GET", f"/ui/tasks/{self.ids[-1]}")
            await self._operate(number)

    async def _operate(self, number: int) -> None:
        await self.send("POST", "/tasks/retry", {"all": True, "dry_run": True})
        await self.send("POST", "/tasks/cancel", {"all": True, "dry_run": True})
        await self.send("POST", "/tasks/retry", {"type": self.type})
        for what in ("cancel", "retry"):
            await self.send("POST", f"/tasks/{number * 5 + 1}/{what}")
            if self.ids:
                await self.send("POST", f"/tasks/{self.ids[number % len(self.ids)]}/{what}")
        await self.send("PATCH", f"/queues/{self.queue}", {"paused": False})

    async def follow(self, stop: asyncio.Event) -> None:
        """Keep what streams of changes have, of the API and of the pages, until stopped."""
        async with asyncio.TaskGroup() as group:
            readers = [
                group.create_task(self._read_stream(path))
                for path in ("/events?after=0", "/events?type=T", "/ui/live")
            ]
            await stop.wait()
            for reader in readers:
                reader.cancel()

    async def _read_stream(self, path: str) -> None:
        async with self.http.stream("GET", path.replace("T", self.type)) as response:
            assert response.status_code == 200
            async for part in response.aiter_bytes():
                self.received += part

    def all_received(self) -> bytes:
        """Return all that came in, also what its endpoint was sent."""
        parts: Iterable[bytes] = (
            orjson.dumps([one.path, one.headers]) + one.body for one in self.endpoint.received
        )
        return bytes(self.received) + b"\n".join(parts)
