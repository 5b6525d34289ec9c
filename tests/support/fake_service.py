"""A fake Taskmill service in memory, for tests of its clients.

It has the API's shapes and statuses. A test moves tasks along by hand (`claim`, `end`), and makes the service fail
on purpose (`refuse_next`).
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from taskmill.client import AsyncTaskmillClient
from taskmill.domain.activity import COUNTED
from taskmill.domain.errors import InvalidInput
from taskmill.wire.preview_requests import preview_json
from taskmill.wire.problems import problem_json
from tests.support.fake_jobs import FakeJobs
from tests.support.fake_responses import START, json_response, problem
from tests.support.fake_tasks import NAMES, FakeTasks
from tests.support.fake_webhooks import FakeTypes, FakeWebhooks


class FakeService(FakeTasks):
    """All of the service: tasks, refused messages, queues, workers, and what is known of them."""

    def __init__(self) -> None:
        self.webhooks = FakeWebhooks(self.record)
        self.types = FakeTypes(self.record)
        self.jobs = FakeJobs(self.record)
        super().__init__()
        self.app = Starlette(
            routes=[
                *self.task_routes,
                Route("/queues", self._queues),
                Route("/queues/{name}", self._change_queue, methods=["PATCH"]),
                Route("/queues/{name}", self._delete_queue, methods=["DELETE"]),
                Route("/rejections", self._rejections),
                Route("/rejections/{id}", self._rejection),
                Route("/rejections/{id}/resend", self._resend, methods=["POST"]),
                Route("/schedules/preview", self._preview, methods=["POST"]),
                Route("/workers", self._workers),
                Route("/workers/{id}/{action}", self._set_worker_request, methods=["POST"]),
                Route("/stats", self._stats),
                Route("/attention", self._attention),
                Route("/readyz", self._ready),
                *self.webhooks.routes,
                *self.types.routes,
                *self.jobs.routes,
                Route("/page", lambda _: Response("<html>", media_type="text/html")),
            ]
        )

    def clear(self) -> None:
        """Forget everything, for the next test."""
        super().clear()
        self.refused: dict[str, dict[str, Any]] = {}
        self.paused: set[str] = set()
        self.keeps: dict[str, str | None] = {}
        self.workers = ["host-1"]
        self.types_of_workers = ["emulate"]
        self.trouble: str | None = None
        self.returns_html = False
        self.parts = {"database": "ok", "schema": "ok", "broker": "ok", "intake": "ok"}
        self.notices: list[dict[str, Any]] = []
        self.broker = {"state": "ok", "trouble": None, "policy": "auto"}
        self.webhooks.clear()
        self.types.clear()
        self.jobs.clear()

    def async_client(self) -> AsyncTaskmillClient:
        """A client that reaches the service without a socket."""
        transport = httpx.ASGITransport(self.app)
        return AsyncTaskmillClient("http://taskmill", transport=transport)

    def add_refused(self, body: str = "rubbish", **fields: object) -> dict[str, Any]:
        """Add a refused message."""
        refused: dict[str, Any] = {
            "id": str(uuid4()),
            "created_at": START.isoformat(),
            "source": "amqp",
            "message_id": None,
            "status": 400,
            "problem": {"type": "/problems/x", "title": "No", "status": 400, "detail": "no JSON"},
            "properties": {},
            "body_bytes": len(body),
            "redeliveries": 0,
            "resent_at": None,
            "task_id": None,
            "body_encoding": "utf-8",
            "body": body,
            **fields,
        }
        self.refused[refused["id"]] = refused
        return refused

    def _counts(self, queue: str | None = None) -> dict[str, int]:
        tasks = [t for t in self.tasks.values() if queue in (None, t["queue"])]
        return {name: sum(t["status"] == name for t in tasks) for name in NAMES}

    def _queue(self, name: str) -> dict[str, Any]:
        created_at = START.isoformat()
        return {
            "name": name,
            "paused": name in self.paused,
            "paused_at": created_at if name in self.paused else None,
            "created_at": created_at,
            "keep": self.keeps.get(name),
            "counts": self._counts(name),
            "waiting": self._waiting(name),
            "oldest_due_at": None,
        }

    def _waiting(self, name: str) -> dict[str, Any]:
        """Return what new tasks wait for: an operator, in a paused queue, else a slot."""
        counts = {one: {"tasks": 0, "are_more": False} for one in ("scheduled", "retrying")}
        new = {"tasks": self._counts(name)["new"], "are_more": False}
        none = {"tasks": 0, "are_more": False}
        ready, held = (none, new) if name in self.paused else (new, none)
        return {"ready": ready, **counts, "held": held}

    async def _queues(self, request: Request) -> Response:
        refused = await self.record(request)
        names = sorted({task["queue"] for task in self.tasks.values()})
        return refused or json_response({"items": [self._queue(name) for name in names]})

    async def _change_queue(self, request: Request) -> Response:
        refused = await self.record(request)
        name = request.path_params["name"]
        body = orjson.loads(self.requests[-1][3])
        if "paused" in body:
            (self.paused.add if body["paused"] else self.paused.discard)(name)
        if "keep" in body:
            self.keeps[name] = body["keep"]
        return refused or json_response(self._queue(name))

    async def _delete_queue(self, request: Request) -> Response:
        refused = await self.record(request)
        name = request.path_params["name"]
        if any(task["queue"] == name for task in self.tasks.values()):
            return refused or problem(409, type="/problems/queue-not-empty", waiting=1, running=0)
        return refused or Response(status_code=204)

    async def _rejections(self, request: Request) -> Response:
        refused = await self.record(request)
        found = list(self.refused.values())[::-1]
        wanted = request.query_params
        start, size = int(wanted.get("cursor", 0)), int(wanted.get("limit", 50))
        more = start + size < len(found)
        items = [
            {name: value for name, value in one.items() if name not in {"body", "body_encoding"}}
            for one in found[start : start + size]
        ]
        page = {"items": items, "next_cursor": str(start + size) if more else None}
        return refused or json_response(page)

    async def _rejection(self, request: Request) -> Response:
        refused = await self.record(request)
        found = self.refused.get(request.path_params["id"])
        if found is None:
            return refused or problem(404, detail="there is no rejection")
        return refused or json_response(found)

    async def _resend(self, request: Request) -> Response:
        refused = await self.record(request)
        found = self.refused[request.path_params["id"]]
        if found["body"] == "rubbish":
            return problem(400, detail="not JSON")
        if found["task_id"] is None:
            found["task_id"] = self.add(name=found["body"])["id"]
        return refused or json_response(self.tasks[found["task_id"]])

    async def _preview(self, request: Request) -> Response:
        try:
            found = preview_json(await request.json(), START)
            return Response(found, media_type="application/json")
        except InvalidInput as error:
            status, headers, body = problem_json(error)
            return Response(body, status, headers)

    async def _workers(self, request: Request) -> Response:
        refused = await self.record(request)
        return refused or json_response({"items": [self._worker(name) for name in self.workers]})

    async def _set_worker_request(self, request: Request) -> Response:
        refused = await self.record(request)
        action = request.path_params["action"]
        return refused or json_response(
            {**self._worker("host-1"), "request": None if action == "resume" else action}
        )

    def _worker(self, name: str) -> dict[str, Any]:
        moment = START.isoformat()
        return {
            "id": str(UUID(int=1)),
            "name": name,
            "queues": [],
            "types": self.types_of_workers,
            "slots": 1000,
            "running": 7,
            "started_at": moment,
            "renewed_at": moment,
            "expires_at": moment,
            "closed_at": None,
            "close_reason": None,
            "request": None,
            "state": "alive",
        }

    async def _stats(self, request: Request) -> Response:
        refused = await self.record(request)
        queues = sorted({task["queue"] for task in self.tasks.values()})
        stats = {
            "total": len(self.tasks),
            "by_status": self._counts(),
            "by_queue": {name: self._counts(name) for name in queues},
            "workers_alive": 1,
            "slots": 1000,
            "running": 7,
            "broker": self.broker,
        }
        if "window" in request.query_params:
            stats["activity"] = self._activity(dict(request.query_params))
        return refused or json_response(stats)

    async def _attention(self, request: Request) -> Response:
        refused = await self.record(request)
        count = sum(one["count"] for one in self.notices)
        troubled = any(one["severity"] == "trouble" for one in self.notices)
        verdict = "trouble" if troubled else "warning" if count else "well"
        fields = {"at": START.isoformat(), "verdict": verdict, "count": count}
        return refused or json_response({**fields, "items": self.notices})

    def _activity(self, query: dict[str, str]) -> dict[str, Any]:
        """Return one queue and type, in which each event type happened once more than the one before."""
        times = {"tasks": 2, "mean_s": 3.0, "p50_s": 0.0055, "p95_s": 4.5, "p99_s": 90.0}
        none = {"tasks": 0, "mean_s": None, "p50_s": None, "p95_s": None, "p99_s": None}
        flow = {
            "counts": {str(name): number for number, name in enumerate(COUNTED, 1)},
            "waiting": times,
            "running": none,
            "per_second": dict.fromkeys(map(str, COUNTED), 0.5),
        }
        moment = START.isoformat()
        queue, type_ = query.get("queue", "mail"), query.get("type", "emulate")
        return {
            "window": query["window"],
            "queue": query.get("queue"),
            "type": query.get("type"),
            "since": moment,
            "until": moment,
            "step_s": 60,
            "total": flow,
            "queues": [{**flow, "queue": queue, "types": [{**flow, "type": type_}]}],
            "points": [{**flow, "at": moment}],
        }

    async def _ready(self, request: Request) -> Response:
        await self.record(request)
        if self.returns_html:
            return Response("<html>", media_type="text/html")
        if self.trouble:
            return problem(503, detail=self.trouble)
        return json_response({"status": "ready", "parts": self.parts})


@contextmanager
def serving(service: FakeService) -> Iterator[str]:
    """Serve on a free port, in a thread; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(service.app, log_config=None, lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def unused_url() -> str:
    """Return an address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[FakeService, str]]:
    """One server for each test process, with its address."""
    fake = FakeService()
    with serving(fake) as address:
        yield fake, address


@pytest.fixture
def service(served: tuple[FakeService, str]) -> FakeService:
    """The fake service, empty."""
    served[0].clear()
    return served[0]
