"""The dashboard as an ASGI app: routes, the headers of every response, and a page for every error.

It serves `/` and everything below `/ui`. Its server routes other paths elsewhere, and has a deadline of its own:
pages give up a little earlier, so that they can show an error page.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Message, Receive, Scope, Send

from taskmill.dashboard import guard
from taskmill.dashboard.attention import with_attention
from taskmill.dashboard.context import Context
from taskmill.dashboard.own_paths import BELOW, ROOT
from taskmill.dashboard.page_rules import SESSION, Need, PageRule, rule_of
from taskmill.dashboard.pages import (
    attention,
    audit,
    create,
    doctor,
    errors,
    events,
    failure,
    failures,
    jobs,
    keys,
    login,
    login_link,
    overview,
    preferences,
    queue,
    queues,
    rejection_edit,
    rejections,
    saved_views,
    schedule_backfill,
    schedule_edit,
    schedules,
    search,
    sessions,
    static,
    stream,
    system,
    task,
    task_logs,
    task_reschedule,
    tasks,
    types,
    webhook_edit,
    webhooks,
    workers,
)
from taskmill.dashboard.preferences import Preferences
from taskmill.dashboard.rendering import TemplateCompiler
from taskmill.dashboard.view import ClientDisconnect, View
from taskmill.dashboard.visitors import require, visit
from taskmill.domain.errors import Unavailable
from taskmill.domain.visibility import Visibility
from taskmill.observability.logs import get_logger
from taskmill.operations.quotas import StreamQuota
from taskmill.operations.sessions import Sessions
from taskmill.operations.visibility import limited_to
from taskmill.runtime.http_scope import API_KEY, REFUSED, ROUTE
from taskmill.settings.auth import requires_keys

log = get_logger(__name__)

Endpoint = Callable[[View], Awaitable[Response]]
Routes = Sequence[tuple[str, str, Endpoint]]

_SHARE_OF_DEADLINE: Final = 0.9
_OTHER: Final = BELOW + "*"


class Dashboard:
    """The pages over a context. Call `stop_being_ready` when the process stops; run `template_compiler` beside."""

    def __init__(self, context: Context) -> None:
        if (context.sessions is not None) != requires_keys(context.settings):
            raise ValueError("sessions are verified exactly where keys are required")
        self.template_compiler = TemplateCompiler()
        self._context = context
        self._timeout_s = context.settings.limits.request_timeout_s * _SHARE_OF_DEADLINE
        # A route of the library, for its patterns only: the endpoints are ours.
        self._routes = [
            (Route(path, _never, methods=[method]), endpoint)
            for method, path, endpoint in _all_routes()
        ]

    @property
    def sessions(self) -> Sessions | None:
        """What verifies sessions; None where no keys are required."""
        return self._context.sessions

    @property
    def stream_quota(self) -> StreamQuota:
        """What counts the streams of events: they and the API's have one quota."""
        return self._context.stream_quota

    @staticmethod
    def serves(path: str) -> bool:
        """Return whether a path is the dashboard's."""
        return path == ROOT or path.startswith(BELOW) or path == BELOW[:-1]

    def stop_being_ready(self) -> None:
        """End all streams."""
        self._context.change_ticker.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        request = Request(scope, receive)
        view = View(request, self._context, Preferences.of(request))
        is_begun = False

        async def guarded(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                headers = MutableHeaders(scope=message)
                for name, value in guard.HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.template_compiler.begin_visit()
        try:
            response, visibility = await self._response(view)
            with limited_to(visibility):
                await response(scope, receive, guarded)
        except ClientDisconnect:
            log.info("request.abandoned", method=scope["method"], path=scope.get(ROUTE, _OTHER))
        except Exception as error:
            if is_begun:
                raise
            await errors.error_response(view, error)(scope, receive, guarded)
        self.template_compiler.end_visit()

    async def _response(self, view: View) -> tuple[Response, Visibility | None]:
        """Return the response, and what limits it while it is being sent."""
        scope = view.request.scope
        if (refused := scope.get(REFUSED)) is not None:
            scope[ROUTE] = _OTHER
            raise refused
        try:
            async with asyncio.timeout(self._timeout_s):
                try:
                    endpoint = self._find(scope)
                except HTTPException:
                    await self._admit(view, SESSION)
                    raise
                visibility = await self._admit(view, rule_of(scope["method"], scope[ROUTE]))
                with limited_to(visibility):
                    return await endpoint(await with_attention(view)), visibility
        except TimeoutError:
            raise Unavailable(1.0, "the database") from None

    async def _admit(self, view: View, rule: PageRule) -> Visibility | None:
        """Check what a visitor may do, and return what limits it to some queues.

        Raises:
            NotAuthenticated: There is neither a session nor a key that is valid, and the rule needs one.
            ScopeMissing: The key does not grant what the rule needs.
            TaskNotFound: The key may not read the task.
            Unavailable: The database is away.
        """
        sessions = self._context.sessions
        if sessions is None or rule.need is Need.NOTHING:
            return None
        key = view.request.scope[API_KEY] = await visit(sessions, view.request)
        return await require(
            self._context.service, key, rule, view.request.scope.get("path_params", {})
        )

    def _find(self, scope: Scope) -> Endpoint:
        scope[ROUTE] = _OTHER
        methods: set[str] = set()
        for route, endpoint in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope[ROUTE] = route.path
                scope["path_params"] = found["path_params"]
                return endpoint
            if match is Match.PARTIAL:
                methods |= route.methods or set()
        if methods:
            raise HTTPException(405, headers={"allow": ", ".join(sorted(methods))})
        raise HTTPException(404)


async def _never(_: Request) -> Response:
    raise AssertionError("routes are used for their patterns only")


def _all_routes() -> Routes:
    modules = (
        static.ROUTES,
        stream.ROUTES,
        preferences.ROUTES,
        login.ROUTES,
        login_link.ROUTES,
        sessions.ROUTES,
        overview.ROUTES,
        search.ROUTES,
        saved_views.ROUTES,
        attention.ROUTES,
        tasks.ROUTES,
        jobs.ROUTES,
        task.ROUTES,
        task_logs.ROUTES,
        task_reschedule.ROUTES,
        queues.ROUTES,
        queue.ROUTES,
        workers.ROUTES,
        failures.ROUTES,
        failure.ROUTES,
        types.ROUTES,
        events.ROUTES,
        schedules.ROUTES,
        schedule_edit.ROUTES,
        schedule_backfill.ROUTES,
        create.ROUTES,
        rejections.ROUTES,
        rejection_edit.ROUTES,
        webhook_edit.ROUTES,
        webhooks.ROUTES,
        audit.ROUTES,
        keys.ROUTES,
        system.ROUTES,
        doctor.ROUTES,
    )
    return [route for routes in modules for route in routes]
