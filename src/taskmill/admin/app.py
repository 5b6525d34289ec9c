"""Three routes, without a framework, so that workers need not import one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.types import Receive, Scope, Send

from taskmill.domain.errors import Unavailable
from taskmill.domain.figures import SystemFigures
from taskmill.domain.system import Readiness
from taskmill.observability import metrics
from taskmill.observability.logs import get_logger
from taskmill.observability.system import system_metrics
from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS, AccessRules
from taskmill.wire.health import HEALTH_JSON, ready_response
from taskmill.wire.problems import problem_for_status, problem_json

log = get_logger(__name__)

Response = tuple[int, Mapping[str, str], bytes]

_METHODS: Final = frozenset({"GET", "HEAD"})
_ALLOW: Final = {"allow": "GET, HEAD"}
_TIMEOUT_S: Final = 10.0
_RETRY_AFTER_S: Final = 1.0


class AdminApp:
    """Serves `/healthz`, `/readyz` and `/metrics` of one process.

    `/metrics` includes those of the whole system, if `figures` are given. `access` has the allowed host names.
    """

    def __init__(
        self,
        readiness: Callable[[], Awaitable[Readiness]],
        is_stopping: Callable[[], bool],
        *,
        access: AccessRules | None = None,
        figures: Callable[[], Awaitable[SystemFigures | None]] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        self._access = access or AccessRules()
        self._figures = figures
        self._readiness = readiness
        self._is_stopping = is_stopping
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Serve a request; for HEAD the server leaves the body out."""
        if scope["type"] != "http":
            return
        status, headers, body = await self._respond(scope)
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        encoded += DEFAULT_RESPONSE_HEADERS
        encoded.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Scope) -> Response:
        method, path = scope["method"], scope["path"]
        if (refusal := self._access.host_refusal(scope)) is not None:
            return problem_for_status(refusal.status, path, refusal.detail)
        routes = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        endpoint = routes.get(path)
        if endpoint is None:
            return problem_for_status(404, path)
        if method not in _METHODS:
            status, headers, body = problem_for_status(405, path)
            return status, {**headers, **_ALLOW}, body
        try:
            async with asyncio.timeout(self._timeout_s):
                return await endpoint()
        except TimeoutError:
            late = Unavailable(_RETRY_AFTER_S, f"a response within {self._timeout_s:g} s")
            return problem_json(late, path)
        except Exception:
            log.exception("admin.failed", path=path)
            return problem_for_status(500, path)

    async def _healthz(self) -> Response:
        return 200, {"content-type": "application/json"}, HEALTH_JSON

    async def _readyz(self) -> Response:
        return ready_response(await self._readiness(), is_stopping=self._is_stopping())

    async def _metrics(self) -> Response:
        system = () if self._figures is None else system_metrics(await self._figures())
        return 200, {"content-type": metrics.CONTENT_TYPE}, metrics.exposition(system)
