"""A fake Taskmill service in memory, for tests of its clients.

It has the API's shapes and statuses. A test moves tasks along by hand (`claim`, `end`), and makes the service fail
on purpose (`refuse_next`).
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
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
from taskmill.wire.batches import LINES_MEDIA_TYPE
from tests.support.fake_responses import START, json_response, problem
from tests.support.fake_webhooks import FakeTypes, FakeWebhooks

NAMES = ("new", "in_progress", "succeeded", "failed", "cancelled")


class FakeService:
    """Tasks in memory behind the API's paths."""

    def __init__(self) -> None:
        self.webhooks = FakeWebhooks(self.record)
        self.types = FakeTypes(self.record)
        self.clear()
        self.app = Starlette(
            routes=[
                Route("/tasks", self._create, methods=["POST"]),
                Route("/tasks", self._list),
                Route("/tasks/batch", self._batch, methods=["POST"]),
                Route("/tasks/{id}", self._get),
                Route("/tasks/{id}/events", self._events),
                Route("/tasks/{id}/explain", self._explain),
                Route("/tasks/{id}/logs", self._logs),
                Route("/tasks/{action:str}", self._sweep, methods=["POST"]),
                Route("/tasks/{id}/{action:str}", self._act, methods=["POST"]),
                Route("/queues", self._queues),
                Route("/queues/{name}", self._change_queue, methods=["PATCH"]),
                Route("/queues/{name}", self._delete_queue, methods=["DELETE"]),
                Route("/rejections", self._rejections),
                Route("/rejections/{id}", self._rejection),
                Route("/rejections/{id}/resend", self._resend, methods=["POST"]),
                Route("/workers", self._workers),
                Route("/workers/{id}/{action}", self._ask_worker, methods=["POST"]),
                Route("/stats", self._stats),
                Route("/readyz", self._ready),
                *self.webhooks.routes,
                *self.types.routes,
                Route("/page", lambda _: Response("<html>", media_type="text/html")),
            ]
        )

    def clear(self) -> None:
        """Forget everything, for the next test."""
        self.tasks: dict[str, dict[str, Any]] = {}
        self.refused: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.keys: dict[str | None, str] = {}
        self.paused: set[str] = set()
        self.workers = ["host-1"]
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.refusals: list[Response | None] = []
        self.trouble: str | None = None
        self.returns_html = False
        self.parts = {"database": "ok", "schema": "ok", "broker": "ok", "intake": "ok"}
        self.broker = {"state": "ok", "trouble": None, "policy": "auto"}
        self.on_read: list[Any] = []
        self.lines_returned: int | None = None
        self.line_troubles: dict[str, dict[str, Any]] = {}
        self.webhooks.clear()
        self.types.clear()

    def async_client(self) -> AsyncTaskmillClient:
        """A client that reaches the service without a socket."""
        transport = httpx.ASGITransport(self.app)
        return AsyncTaskmillClient("http://taskmill", transport=transport)

    def refuse_next(
        self, status: int, headers: dict[str, str] | None = None, **members: object
    ) -> None:
        """Respond to the next request with a problem."""
        headers = headers or ({"Retry-After": "0"} if status == 503 else {})
        self.refusals.append(problem(status, headers=headers, **members))

    def serve_next(self) -> None:
        """Serve the next request as usual, before those that are to be refused."""
        self.refusals.append(None)

    def add(self, **fields: object) -> dict[str, Any]:
        """Add a new task."""
        created = START + timedelta(seconds=len(self.tasks))
        text = created.isoformat().replace("+00:00", "Z")
        task: dict[str, Any] = {
            "id": str(uuid4()),
            "number": len(self.tasks) + 1,
            "name": "a task",
            "description": None,
            "type": "emulate",
            "payload": None,
            "queue": "default",
            "priority": 4,
            "status": "new",
            "run": 1,
            "attempt": 0,
            "max_attempts": 1,
            "losses": 0,
            "max_losses": 3,
            "retry": None,
            "timeout_s": None,
            "cancel_requested": False,
            "run_at": text,
            "expires_at": None,
            "created_at": text,
            "started_at": None,
            "finished_at": None,
            "updated_at": text,
            "progress": None,
            "result": None,
            "error": None,
            "labels": {},
            "callback_url": None,
            "source": "rest",
            "version": 0,
            **fields,
        }
        self.tasks[task["id"]] = task
        self.events[task["id"]] = []
        self.lines[task["id"]] = []
        self._record(task, "created", task["status"])
        return task

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

    def claim(self, task: dict[str, Any]) -> None:
        """Give the task to a worker."""
        task["attempt"] += 1
        self._record(task, "claimed", "in_progress", worker="host-1", claim_no=1)
        task["started_at"] = task["updated_at"]

    def log_line(self, task: dict[str, Any], message: str, **parts: object) -> None:
        """Add a log line to the task's claim."""
        lines = self.lines[task["id"]]
        usual = {"claim_no": 1, "level": "info", "logger": None, "fields": None}
        own = {"seq": len(lines) + 1, "at": START.isoformat(), "message": message}
        lines.append({**usual, **own, **parts})

    def end(self, task: dict[str, Any], status: str = "succeeded", **fields: object) -> None:
        """End the task."""
        task.update(fields)
        self._record(task, status, status, worker="host-1", claim_no=1, error=task["error"])
        task["finished_at"] = task["updated_at"]

    def _record(self, task: dict[str, Any], event: str, status: str, **facts: object) -> None:
        task["version"] += 1
        task["status"] = status
        at = START + timedelta(seconds=len(self.tasks) + 1.5 * task["version"])
        task["updated_at"] = at.isoformat().replace("+00:00", "Z")
        self.events[task["id"]].append(
            {
                "task_id": task["id"],
                "version": task["version"],
                "at": task["updated_at"],
                "event": event,
                "status": status,
                "run": task["run"],
                "attempt": task["attempt"],
                "losses": 0,
                "claim_no": 0,
                "worker": None,
                "reason": None,
                "error": None,
                "run_at": task["run_at"],
                **facts,
            }
        )

    async def record(self, request: Request) -> Response | None:
        """Record a request; returns the refusal prepared for it, if any."""
        body = await request.body()
        self.requests.append((request.method, str(request.url), dict(request.headers), body))
        return self.refusals.pop(0) if self.refusals else None

    async def _create(self, request: Request) -> Response:
        refused = await self.record(request)
        fields = orjson.loads(self.requests[-1][3])
        key = fields.pop("idempotency_key", None) or request.headers.get("Idempotency-Key")
        if key in self.keys:
            return refused or json_response(self.tasks[self.keys[key]])
        known = {name: value for name, value in fields.items() if name != "delay_s"}
        task = self.add(**known)
        self.keys[key] = task["id"]
        return refused or json_response(task, 201)

    async def _batch(self, request: Request) -> Response:
        refused = await self.record(request)
        body = self.requests[-1][3]
        if request.headers["Content-Type"] != LINES_MEDIA_TYPE:
            made = [self._made(fields)[0] for fields in orjson.loads(body)]
            return refused or json_response({"ids": made}, 201)
        lines = [
            self._line(number, orjson.loads(line))
            for number, line in enumerate(body.splitlines(), 1)
        ]
        body = b"".join(orjson.dumps(line) + b"\n" for line in lines[: self.lines_returned])
        self.lines_returned = None
        return refused or Response(body, media_type=LINES_MEDIA_TYPE)

    def _line(self, number: int, fields: dict[str, Any]) -> dict[str, Any]:
        """Make one task of many, unless its name is one of those that get a problem, each once."""
        trouble = self.line_troubles.pop(fields["name"], None)
        if trouble is not None:
            return {"line": number, "status": trouble["status"], "problem": trouble}
        task_id, was_there = self._made(fields)
        return {"line": number, "status": 200 if was_there else 201, "id": task_id}

    def _made(self, fields: dict[str, Any]) -> tuple[str, bool]:
        key = fields.pop("idempotency_key")
        was_there = key in self.keys
        if not was_there:
            self.keys[key] = self.add(**fields)["id"]
        return self.keys[key], was_there

    async def _list(self, request: Request) -> Response:
        refused = await self.record(request)
        wanted = request.query_params
        statuses = wanted.getlist("status")
        found = [t for t in self.tasks.values() if not statuses or t["status"] in statuses]
        newest_first = found if wanted.get("order") == "asc" else found[::-1]
        start, size = int(wanted.get("cursor", 0)), int(wanted.get("limit", 50))
        more = start + size < len(found)
        items = newest_first[start : start + size]
        page = {
            "items": items,
            "total": len(found),
            "next_cursor": str(start + size) if more else None,
        }
        return refused or json_response(page)

    async def _get(self, request: Request) -> Response:
        refused = await self.record(request)
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return refused or problem(404, title="There is no such task", detail="there is no task")
        if self.on_read:
            self.on_read.pop(0)(task)
        return refused or json_response(task)

    async def _events(self, request: Request) -> Response:
        refused = await self.record(request)
        return refused or json_response(
            {"items": self.events[request.path_params["id"]], "next_cursor": None}
        )

    async def _explain(self, request: Request) -> Response:
        """Explain a task of a paused queue that no worker serves, with a few blockers."""
        refused = await self.record(request)
        task = self.tasks.get(request.path_params["id"])
        if task is None:
            return refused or problem(404, title="There is no such task", detail="there is no task")
        words = f"Queue {task['queue']} is paused."
        todo = f"`taskmill queue resume {task['queue']}`"
        blockers: list[tuple[object, ...]] = [
            ("finished", "passed", "It has not ended.", None, {}),
            ("queue_paused", "holds", words, todo, {"queue": task["queue"]}),
            ("no_worker", "holds", "No worker lives.", "Start one.", {}),
            ("not_released", "not_reached", "Not reached.", None, {}),
            ("not_claimed", "not_reached", "Not reached.", None, {}),
        ]
        names = ("blocker", "state", "sentence", "todo", "facts")
        explanation = {
            "task_id": task["id"],
            "status": task["status"],
            "at": task["updated_at"],
            "blocker": "queue_paused",
            "summary": words,
            "todo": todo,
            "blockers": [dict(zip(names, blocker, strict=True)) for blocker in blockers],
        }
        return refused or json_response(explanation)

    async def _logs(self, request: Request) -> Response:
        refused = await self.record(request)
        found = self.lines.get(request.path_params["id"])
        if found is None:
            return refused or problem(404, title="There is no such task", detail="there is no task")
        wanted = request.query_params
        start, size = int(wanted.get("cursor", 0)), int(wanted.get("limit", 100))
        items = found[start : start + size]
        end = start + len(items)
        more = end < len(found)
        return refused or json_response({"items": items, "next_cursor": str(end), "has_more": more})

    async def _act(self, request: Request) -> Response:
        refused = await self.record(request)
        task = self.tasks[request.path_params["id"]]
        is_retry = request.path_params["action"] == "retry"
        if (task["status"] in NAMES[2:]) is not is_retry:
            return problem(
                409, title="The status does not allow it", detail=f"it is {task['status']}"
            )
        if is_retry:
            self._record(task, "run_again", "new")
        elif task["status"] == "in_progress":
            task["cancel_requested"] = True
            return json_response(task, 202)
        else:
            self._record(task, "cancelled", "cancelled")
        return refused or json_response(task)

    async def _sweep(self, request: Request) -> Response:
        """Change two more tasks; the cursor is the number of the next one."""
        refused = await self.record(request)
        sweep = orjson.loads(self.requests[-1][3])
        action, dry_run = request.path_params["action"], sweep["dry_run"]
        usual = ["new", "in_progress"] if action == "cancel" else ["failed"]
        fits = [
            task
            for task in self.tasks.values()
            if task["number"] >= int(sweep["cursor"] or 0)
            and task["status"] in (sweep.get("status") or usual)
            and sweep.get("queue") in (None, task["queue"])
        ]
        step = {"matched": len(fits[:2]), "changed": 0, "asked": 0, "dry_run": dry_run}
        for task in [] if dry_run else fits[:2]:
            if action == "cancel" and task["status"] == "in_progress":
                task["cancel_requested"] = True
                step["asked"] += 1
                continue
            status = "cancelled" if action == "cancel" else "new"
            self._record(task, "cancelled" if action == "cancel" else "run_again", status)
            step["changed"] += 1
        following = str(fits[2]["number"]) if len(fits) > 2 else None
        return refused or json_response(
            {**step, "is_complete": following is None, "next_cursor": following}
        )

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
            "counts": self._counts(name),
            "oldest_due_at": None,
            "window": 5,
        }

    async def _queues(self, request: Request) -> Response:
        refused = await self.record(request)
        names = sorted({task["queue"] for task in self.tasks.values()})
        return refused or json_response({"items": [self._queue(name) for name in names]})

    async def _change_queue(self, request: Request) -> Response:
        refused = await self.record(request)
        name = request.path_params["name"]
        change = (
            self.paused.add if orjson.loads(self.requests[-1][3])["paused"] else self.paused.discard
        )
        change(name)
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

    async def _workers(self, request: Request) -> Response:
        refused = await self.record(request)
        return refused or json_response({"items": [self._worker(name) for name in self.workers]})

    async def _ask_worker(self, request: Request) -> Response:
        refused = await self.record(request)
        action = request.path_params["action"]
        return refused or json_response(
            {**self._worker("host-1"), "asked_to": None if action == "resume" else action}
        )

    def _worker(self, name: str) -> dict[str, Any]:
        moment = START.isoformat()
        return {
            "id": str(UUID(int=1)),
            "name": name,
            "queues": [],
            "types": ["emulate"],
            "slots": 1000,
            "running": 7,
            "started_at": moment,
            "renewed_at": moment,
            "expires_at": moment,
            "closed_at": None,
            "close_reason": None,
            "asked_to": None,
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
            "window": dict.fromkeys(queues, 5),
            "broker": self.broker,
        }
        if "window" in request.query_params:
            stats["activity"] = self._activity(dict(request.query_params))
        return refused or json_response(stats)

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
