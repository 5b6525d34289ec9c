"""The webhooks and types of the fake service, in memory."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.fake_responses import START, json_response, problem

Recording = Callable[[Request], Awaitable[Response | None]]
MASKED = "whsec_…"
NO_WEBHOOK = problem(404, type="/problems/webhook-not-found", detail="there is no webhook")
NO_TYPE = problem(404, type="/problems/type-not-found", detail="no type has a contract")


class FakeWebhooks:
    """Webhooks and their deliveries, with ids that count from 1."""

    def __init__(self, record: Recording) -> None:
        self._record = record
        self.clear()
        self.routes = [
            Route("/webhooks", self._create, methods=["POST"]),
            Route("/webhooks", self._all),
            Route("/webhooks/{id}", self._one, methods=["GET", "PATCH", "DELETE"]),
            Route("/webhooks/{id}/test", self._test, methods=["POST"]),
            Route("/webhooks/{id}/deliveries", self._list),
            Route("/webhooks/{id}/deliveries/{delivery}/resend", self._resend, methods=["POST"]),
            Route("/tasks/{id}/deliveries", self._callback),
        ]

    def clear(self) -> None:
        """Forget everything, for the next test."""
        self.stored: dict[str, dict[str, Any]] = {}
        self.delivered: list[dict[str, Any]] = []
        self.callback_url: str | None = None

    def deliver(self, state: str = "delivered", **fields: object) -> dict[str, Any]:
        """Add a delivery."""
        number = len(self.delivered) + 1
        moment = START.isoformat()
        made: dict[str, Any] = {
            "id": number,
            "webhook_id": str(UUID(int=1)),
            "url": "https://example.org/hooks",
            "event_id": f"event-{number}",
            "task_id": str(UUID(int=7)),
            "version": 3,
            "state": state,
            "attempts": 1,
            "created_at": moment,
            "tried_at": moment,
            "next_at": None,
            "finished_at": moment,
            "response_status": 204,
            "trouble": None,
            **fields,
        }
        self.delivered.append(made)
        return made

    async def _create(self, request: Request) -> Response:
        refused = await self._record(request)
        moment = START.isoformat()
        made = {
            "id": str(UUID(int=len(self.stored) + 1)),
            "description": None,
            "queues": [],
            "types": [],
            "statuses": ["cancelled", "failed", "succeeded"],
            "state": "enabled",
            "disabled_reason": None,
            "failing_since": None,
            "secret": MASKED,
            "created_at": moment,
            "updated_at": moment,
            **orjson.loads(await request.body()),
        }
        self.stored[made["id"]] = made
        return refused or json_response({**made, "secret": "whsec_new"}, 201)

    async def _all(self, request: Request) -> Response:
        refused = await self._record(request)
        return refused or json_response({"items": list(self.stored.values())})

    async def _one(self, request: Request) -> Response:
        refused = await self._record(request)
        found = self.stored.get(request.path_params["id"])
        if found is None:
            return refused or NO_WEBHOOK
        if request.method == "DELETE":
            del self.stored[found["id"]]
            return refused or Response(status_code=204)
        changes = orjson.loads(await request.body()) if request.method == "PATCH" else {}
        secret = "whsec_next" if changes.pop("rotate_secret", False) else MASKED
        found.update(changes)
        return refused or json_response({**found, "secret": secret})

    async def _test(self, request: Request) -> Response:
        refused = await self._record(request)
        if request.path_params["id"] not in self.stored:
            return refused or NO_WEBHOOK
        waiting = {"attempts": 0, "tried_at": None, "finished_at": None, "response_status": None}
        made = self.deliver("pending", task_id=None, version=None, **waiting)
        return refused or json_response(made, 202)

    async def _list(self, request: Request) -> Response:
        refused = await self._record(request)
        wanted = request.query_params
        states = wanted.getlist("state")
        found = [one for one in self.delivered[::-1] if not states or one["state"] in states]
        start, size = int(wanted.get("cursor", 0)), int(wanted.get("limit", 50))
        more = start + size < len(found)
        page = {
            "items": found[start : start + size],
            "next_cursor": str(start + size) if more else None,
        }
        return refused or json_response(page)

    async def _resend(self, request: Request) -> Response:
        refused = await self._record(request)
        number = int(request.path_params["delivery"])
        if not 0 < number <= len(self.delivered):
            return problem(404, type="/problems/delivery-not-found", detail="no such delivery")
        found = self.delivered[number - 1]
        found.update(state="pending", finished_at=None)
        return refused or json_response(found, 202)

    async def _callback(self, request: Request) -> Response:
        refused = await self._record(request)
        url = "https://example.org/done" if self.delivered else self.callback_url
        return refused or json_response({"callback_url": url, "items": self.delivered[::-1]})


class FakeTypes:
    """Types with contracts, by name."""

    def __init__(self, record: Recording) -> None:
        self._record = record
        self.clear()
        methods = ["GET", "PUT", "DELETE"]
        self.routes = [
            Route("/types", self._all),
            Route("/types/{name}", self._one, methods=methods),
        ]

    def clear(self) -> None:
        """Forget everything, for the next test."""
        self.stored: dict[str, list[dict[str, Any]]] = {}

    def register(self, name: str, schema: object, defaults: object = None) -> None:
        """Register another version of a contract."""
        versions = self.stored.setdefault(name, [])
        made = {
            "version": len(versions) + 1,
            "payload_schema": schema,
            "defaults": defaults or {},
            "registered_at": START.isoformat(),
            "registered_by": "rest",
        }
        versions.insert(0, made)

    def _summary(self, name: str) -> dict[str, Any]:
        current = self.stored[name][0]
        return {**current, "name": name, "changed_at": current["registered_at"], "workers": 2}

    async def _all(self, request: Request) -> Response:
        refused = await self._record(request)
        return refused or json_response(
            {"items": [self._summary(name) for name in sorted(self.stored)]}
        )

    async def _one(self, request: Request) -> Response:
        refused = await self._record(request)
        name = request.path_params["name"]
        if request.method == "PUT":
            self.register(name, **_contract(orjson.loads(await request.body())))
        elif name not in self.stored:
            return refused or NO_TYPE
        elif request.method == "DELETE":
            del self.stored[name]
            return refused or Response(status_code=204)
        return refused or json_response({**self._summary(name), "versions": self.stored[name]})


def _contract(body: dict[str, Any]) -> dict[str, Any]:
    return {"schema": body["payload_schema"], "defaults": body["defaults"]}
