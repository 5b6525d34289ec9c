"""The outermost layer: request ids, a log line for each request, access checks, the deadline, unexpected errors.

It decides nothing about tasks. Of its own it sends only refusals, 503 for late requests, and 500.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NoReturn

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill.api.authorisation import shown_key
from taskmill.api.queries import check_address
from taskmill.api.refusals import ClientGone, error_response, raise_if_refused
from taskmill.api.request_record import ID_HEADER, RequestRecord, RequestRecords
from taskmill.domain.api_keys import ApiKey
from taskmill.domain.audit import RefusalReason
from taskmill.observability.kinds import OTHER
from taskmill.operations.refusal_counts import RefusalCounts
from taskmill.runtime.body_memory import BodyMemory
from taskmill.runtime.http_access import DEFAULT_RESPONSE_HEADERS, AccessRules
from taskmill.runtime.http_scope import ABORT, CLIENT, DEADLINE, HEAD_ONLY, ROUTE, TASK_ID, UNTIMED
from taskmill.runtime.offload import Caller, caller
from taskmill.wire.wording import safe_text

_LONGEST_PATH: Final = 200


class Edge:
    """Wraps the whole app; it ignores other protocols than HTTP."""

    def __init__(
        self,
        app: ASGIApp,
        records: RequestRecords,
        access: AccessRules,
        bodies: BodyMemory,
        refusals: RefusalCounts,
    ) -> None:
        self._app = app
        self._records = records
        self._access = access
        self._bodies = bodies
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            return
        path = safe_text(scope["path"], _LONGEST_PATH)
        sent_id = next((value for name, value in scope["headers"] if name == ID_HEADER), None)
        record = RequestRecord(self._records, sent_id, scope["method"], path, scope.get(CLIENT))
        if record.method == "HEAD":
            # Served as GET; the server, which has the original scope, leaves the body out.
            scope = {**scope, "method": "GET", HEAD_ONLY: True}
        structlog.contextvars.bind_contextvars(request_id=record.id)
        client = scope.get("client")
        current = Caller(host=client[0] if client else "", request_id=record.id)
        caller.set(current)
        response = _Response(record, send)
        record.open()
        try:
            await self._respond(scope, receive, record, response)
        except ClientGone:
            record.abandoned(_route(scope))
            return
        finally:
            record.close()
        if (key := shown_key(scope)) is not None:
            record.key_id = key.id
        if (reason := _refusal_reason(response.status, key)) is not None:
            self._refusals.record(reason)
        record.served(
            _route(scope),
            response.status,
            task_id=scope.get(TASK_ID),
            is_timed=UNTIMED not in scope,
            was_offloaded=current.was_offloaded,
        )

    async def _respond(
        self, scope: Scope, receive: Receive, record: RequestRecord, response: "_Response"
    ) -> None:
        body = self._bodies.track(scope)
        try:
            async with asyncio.timeout(self._records.timeout_s) as deadline:
                scope[DEADLINE] = deadline
                raise_if_refused(self._access.refusal(scope))
                check_address(scope)
                await self._app(scope, receive, response.send)
        except asyncio.CancelledError:
            _cut_off(scope)  # the server stops, and the grace time is over
        except TimeoutError as error:
            if response.status:
                _cut_off(scope)  # the client does not read the response
            await record.late(error).send(response.send)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - it is logged, unless it is an expected one
            record.failed(error)
            if not response.status:
                await error_response(error, scope["path"]).send(response.send)
        finally:
            body.release()


class _Response:
    """The status of the response that passes through `send`, which gets the headers that all responses have."""

    __slots__ = ("_record", "_send", "status")

    def __init__(self, record: RequestRecord, send: Send) -> None:
        self.status = 0
        self._record = record
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name for name, _ in message["headers"]}
            defaults = [header for header in DEFAULT_RESPONSE_HEADERS if header[0] not in present]
            message["headers"] = [*defaults, *message["headers"], self._record.header]
        await self._send(message)


def _refusal_reason(status: int, key: ApiKey | None) -> RefusalReason | None:
    """Return why a request may not be served, None when it may."""
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return RefusalReason.NOT_AUTHENTICATED
        case HTTPStatus.FORBIDDEN:
            # Pages of other sites are refused before keys are read.
            return RefusalReason.CROSS_SITE if key is None else RefusalReason.SCOPE_MISSING
        case HTTPStatus.MISDIRECTED_REQUEST:
            return RefusalReason.UNKNOWN_HOST
        case HTTPStatus.TOO_MANY_REQUESTS:
            return RefusalReason.RATE_LIMITED
        case _:
            return None


def _route(scope: Scope) -> str:
    """Return the route as documented; never the path, of which there is no end."""
    if route := scope.get(ROUTE):
        return str(route)
    path: str = getattr(scope.get("route"), "path", OTHER)
    return path if path == OTHER else scope.get("root_path", "") + path


def _cut_off(scope: Scope) -> NoReturn:
    """Close the connection of a request that gets no further response. Call it while handling an exception.

    Raises:
        ClientGone: always, except where the server can't abort; then the exception being handled.
    """
    abort: Callable[[], None] | None = scope.get(ABORT)
    if abort is None:
        raise  # noqa: PLE0704 - see above
    abort()
    raise ClientGone
