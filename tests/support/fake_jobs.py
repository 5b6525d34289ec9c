"""Jobs of the fake service: they are stored, and never go on."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.fake_responses import START, json_response, problem

Record = Callable[[Request], Awaitable[Response | None]]
_OTHERS = ("waiting", "error", "worker_id", "source", "priority", "took_over_s", "attempts_over")
_FILTERS = ("queue", "type", "name", "created_after", "created_before")


class FakeJobs:
    """Jobs behind the API's paths."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self.clear()

    def clear(self) -> None:
        """Forget all of them."""
        self.all: dict[str, dict[str, Any]] = {}

    @property
    def routes(self) -> list[Route]:
        """The paths of jobs."""
        return [
            Route("/jobs", self._start, methods=["POST"]),
            Route("/jobs", self._list),
            Route("/jobs/{id}", self._get),
            Route("/jobs/{id}/stop", self._stop, methods=["POST"]),
        ]

    def add(self, **fields: object) -> dict[str, Any]:
        """Add a job that runs."""
        none = dict.fromkeys((*_FILTERS, *_OTHERS))
        job: dict[str, Any] = {
            "id": str(uuid4()),
            "action": "retry",
            "state": "running",
            "problem": None,
            "filter": {**none, "status": ["failed"], "label": []},
            "picked": None,
            "limit": None,
            "expected": None,
            "matched": 0,
            "changed": 0,
            "cancel_requested": 0,
            "first_at": None,
            "per_second": None,
            "last_at": None,
            "started_by": "127.0.0.1",
            "created_at": START.isoformat(),
            "updated_at": START.isoformat(),
            "stop_requested_at": None,
            "stop_requested_by": None,
            "ended_at": None,
            **fields,
        }
        self.all[job["id"]] = job
        return job

    async def _start(self, request: Request) -> Response:
        refused = await self._record(request)
        asked = orjson.loads(await request.body())
        given = {name: asked.get(name) for name in ("limit", "per_second")}
        return refused or json_response(self.add(action=asked["action"], **given), 201)

    async def _list(self, request: Request) -> Response:
        """Return two jobs; the cursor is the number of the next one."""
        refused = await self._record(request)
        begin = int(request.query_params.get("cursor", 0))
        items = list(self.all.values())[begin : begin + 2]
        following = str(begin + 2) if len(self.all) > begin + 2 else None
        return refused or json_response({"items": items, "next_cursor": following})

    async def _get(self, request: Request) -> Response:
        refused = await self._record(request)
        job = self.all.get(request.path_params["id"])
        missing = problem(404, type="/problems/job-not-found", title="None", detail="no such job")
        return refused or (missing if job is None else json_response(job))

    async def _stop(self, request: Request) -> Response:
        response = await self._get(request)
        if (job := self.all.get(request.path_params["id"])) is None:
            return response
        job["stop_requested_at"], job["stop_requested_by"] = START.isoformat(), "127.0.0.1"
        return json_response(job)
