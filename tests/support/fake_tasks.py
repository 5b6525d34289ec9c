"""The tasks of the fake service, in memory: what clients and tests do to them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from taskmill.wire.basics import LINES_MEDIA_TYPE
from tests.support.fake_requests import FakeRequests
from tests.support.fake_responses import START, json_response, problem

NAMES = ("new", "in_progress", "succeeded", "failed", "cancelled")


class FakeTasks(FakeRequests):
    """Tasks with their histories and log lines, behind the API's paths."""

    def clear(self) -> None:
        """Forget everything, for the next test."""
        super().clear()
        self.tasks: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.ticks: dict[str, dict[str, Any]] = {}
        self.keys: dict[str | None, str] = {}
        self.on_read: list[Any] = []
        self.groups: dict[str, Any] | None = None
        self.lines_returned: int | None = None
        self.line_troubles: dict[str, dict[str, Any]] = {}

    @property
    def task_routes(self) -> list[Route]:
        """The paths of tasks."""
        return [
            Route("/tasks", self._create, methods=["POST"]),
            Route("/tasks", self._list),
            Route("/tasks/batch", self._batch, methods=["POST"]),
            Route("/tasks/{id}", self._get),
            Route("/tasks/{id}", self._reschedule, methods=["PATCH"]),
            Route("/tasks/{id}/events", self._events),
            Route("/tasks/{id}/explain", self._explain),
            Route("/tasks/{id}/logs", self._logs),
            Route("/tasks/{action:str}", self._sweep, methods=["POST"]),
            Route("/tasks/{id}/{action:str}", self._act, methods=["POST"]),
        ]

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
            "payload_secrets": None,
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

    async def _reschedule(self, request: Request) -> Response:
        refused = await self.record(request)
        task = self.tasks[request.path_params["id"]]
        if task["status"] != "new":
            detail = f"it is {task['status']}"
            return problem(409, title="The status does not allow it", detail=detail)
        changes = orjson.loads(self.requests[-1][3])
        changes.pop("delay_s", None)
        self._record(task, "rescheduled", "new", **changes)
        task.update(changes)
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
            "schedule": self.ticks.get(task["id"]),
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
        ][: sweep.get("limit")]
        step = {"matched": len(fits[:2]), "changed": 0, "cancel_requested": 0, "dry_run": dry_run}
        for task in [] if dry_run else fits[:2]:
            if action == "cancel" and task["status"] == "in_progress":
                task["cancel_requested"] = True
                step["cancel_requested"] += 1
                continue
            status = "cancelled" if action == "cancel" else "new"
            self._record(task, "cancelled" if action == "cancel" else "run_again", status)
            step["changed"] += 1
        following = str(fits[2]["number"]) if len(fits) > 2 else None
        return refused or json_response(
            {
                **step,
                "is_complete": following is None,
                "next_cursor": following,
                "groups": self.groups if dry_run and sweep["cursor"] is None else None,
            }
        )
