"""Puts the API together: layers from the outside in, routers, documents.

TracingMiddleware  a span for each request that creates tasks, when traces are on
Edge               request id, log line, host and origin checks, deadline, unexpected errors
Cors               pages of the origins in the settings, if there are any
RateLimiting       429 for who sends too many requests
Authentication     API keys, if they are required
Compression        large responses to reads
Pages              the dashboard's paths, where there is a dashboard
FastAPI            everything else, and the OpenAPI document of all routes
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from taskmill.api.authentication import Authentication
from taskmill.api.compression import Compression, Compressor
from taskmill.api.context import NO_TELEMETRY, Context
from taskmill.api.cors import Cors
from taskmill.api.edge import Edge
from taskmill.api.errors import add_error_handlers
from taskmill.api.fast_path import FastPath
from taskmill.api.openapi import add_routes, install
from taskmill.api.rate_limiting import RateLimiting
from taskmill.api.request_record import RequestRecords
from taskmill.api.routers import (
    attention,
    audit,
    batches,
    claims,
    doctor as doctor_routes,
    documents,
    events,
    explanations,
    failure_samples,
    failures,
    health,
    history,
    jobs,
    leases,
    legacy,
    logs,
    rejections,
    schedules,
    sessions,
    stored_schedules,
    sweeps,
    system,
    tasks,
    types,
    webhooks as webhook_routes,
)
from taskmill.api.tracing import TracingMiddleware
from taskmill.operations.doctor import Doctor
from taskmill.operations.feed import Feed
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.pull import Pull
from taskmill.operations.quotas import StreamQuota
from taskmill.operations.service import TaskService
from taskmill.operations.sessions import Sessions
from taskmill.operations.webhooks import Webhooks
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.warnings import Warnings
from taskmill.runtime.body_memory import BodyLimits, BodyMemory
from taskmill.runtime.clock import Clock, SystemClock
from taskmill.runtime.http_access import AccessRules
from taskmill.runtime.page_limit import PageLimit
from taskmill.runtime.rate_limits import RateLimits
from taskmill.settings import LimitSettings, Settings
from taskmill.settings.auth import requires_keys
from taskmill.version import VERSION
from taskmill.wire.attention import NoticeChange
from taskmill.wire.claims import AddLines, ClaimCancelled, FailClaim, FinishClaim, ReportProgress
from taskmill.wire.feed import ChangeView
from taskmill.wire.jobs import StartJob
from taskmill.wire.leases import RenewLease, TakeLease
from taskmill.wire.preview_requests import PreviewSchedule
from taskmill.wire.problems import Problem
from taskmill.wire.queues import QueueChange
from taskmill.wire.rescheduling import RescheduleTask
from taskmill.wire.rules import InputLimits
from taskmill.wire.schedule_requests import PutSchedule
from taskmill.wire.schedules import BackfillSchedule, ChangeSchedule
from taskmill.wire.sweeps import CancelSelection, RetrySelection
from taskmill.wire.tasks import CreateTask
from taskmill.wire.types import ContractChange
from taskmill.wire.webhooks import ChangeWebhook, CreateWebhook

if TYPE_CHECKING:
    from taskmill.observability.traces import Traces

_DESCRIPTION: Final = """\
A task service: hand it work, watch it run, never lose it.

Every error is `application/problem+json` (RFC 9457) with a stable `type`; it names what was expected, what
came, and where. Every response has an `X-Request-Id`, under which the logs have more. Times are RFC 3339 in
UTC; names of queues and types match `[a-z0-9][a-z0-9._-]{0,62}`.

The earlier service's addresses live on below `/task_service`, with [their own page](task_service/docs).

The same, to read: [ReDoc](redoc). To try it out: [Swagger UI](docs). Creating tasks by messages:
[AsyncAPI](asyncapi.json).
"""
_TAGS: Final = [
    {"name": "tasks", "description": "Create, read, list, cancel and retry tasks."},
    {"name": "jobs", "description": "Cancel or retry many tasks in the background, at a rate."},
    {"name": "leases", "description": "Run tasks, in any language: take, renew, finish."},
    {"name": "events", "description": "Follow what happens to tasks, live."},
    {"name": "queues", "description": "What waits where; pause and resume."},
    {"name": "schedules", "description": "Have tasks made at times: cron expressions, intervals."},
    {"name": "types", "description": "What payloads of each type have to look like."},
    {"name": "webhooks", "description": "Have events posted to an endpoint."},
    {"name": "failures", "description": "What fails, by kind: how often, since when."},
    {"name": "rejections", "description": "Messages that were refused; send them again."},
    {
        "name": "audit",
        "description": "Who did what to tasks, queues, workers and settings of the service.",
    },
    {
        "name": "sessions",
        "description": "Who is logged in to the dashboard; links that log a browser in.",
    },
    {"name": "system", "description": "Counts, workers, the queue's side."},
    {"name": "health", "description": "For load balancers, orchestrators and monitoring."},
]

# In the document, but not parsed by the framework.
_BODIES: Final = (
    CreateTask,
    CancelSelection,
    RetrySelection,
    StartJob,
    RescheduleTask,
    QueueChange,
    NoticeChange,
    TakeLease,
    RenewLease,
    FinishClaim,
    FailClaim,
    ClaimCancelled,
    ReportProgress,
    AddLines,
    Problem,
    ChangeView,
    ContractChange,
    PreviewSchedule,
    CreateWebhook,
    ChangeWebhook,
    PutSchedule,
    ChangeSchedule,
    BackfillSchedule,
)


class PagesApp(Protocol):
    """An ASGI app that serves some paths and streams: the dashboard."""

    @property
    def sessions(self) -> Sessions | None:
        """What verifies its sessions; None where no keys are required."""
        ...

    @property
    def stream_quota(self) -> StreamQuota:
        """What counts its streams of events: they and the API's have one quota."""
        ...

    def serves(self, path: str) -> bool:
        """Return whether it serves a path."""
        ...

    def stop_being_ready(self) -> None:
        """End the open streams."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        ...


class Pages:
    """The layer that lets the pages serve their paths before the framework."""

    def __init__(self, app: ASGIApp, pages: PagesApp) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to one of the two."""
        app = self._pages if self._pages.serves(scope["path"]) else self._app
        await app(scope, receive, send)


class Api:
    """The whole API as one ASGI app."""

    def __init__(
        self,
        context: Context,
        traces: "Traces | None" = None,
        pages: PagesApp | None = None,
    ) -> None:
        self._context = context
        self._pages = pages
        self.framework = create_framework(context)
        errors = add_error_handlers(self.framework)
        behind = self.framework if pages is None else Pages(self.framework, pages)
        records = RequestRecords(context.offload, timeout_s=context.limits.request_timeout_s)
        self._compressor = compressor = Compressor()
        within: ASGIApp = Compression(behind, compressor)
        is_page = _is_never if pages is None else pages.serves
        if context.keys is not None:
            within = Authentication(
                within,
                context.keys,
                context.service,
                is_page=is_page,
                may_serve=errors.may_serve,
            )
        within = RateLimiting(within, context.rate_limits, context.keys, is_page=is_page)
        if context.access.has_origins:
            within = Cors(within, context.access)
        bodies = BodyMemory(context.body_limits)
        edge = Edge(within, records, context.access, bodies, context.service.refusals)
        self._app: ASGIApp = edge if traces is None else TracingMiddleware(edge, traces)
        fast_path = FastPath(context, records, compressor, errors=errors, is_page=is_page)
        # The fast path makes no spans.
        self.fast_path = fast_path if traces is None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        await self._app(scope, receive, send)

    def stop_being_ready(self) -> None:
        """Have `/readyz` report that the server stops; requests are still answered, but long polls end at once."""
        self._context.is_stopping = True
        self._context.feed.close()
        self._context.pull.close()
        if self._pages is not None:
            self._pages.stop_being_ready()


def create_app(
    service: TaskService,
    *,
    feed: Feed,
    pull: Pull,
    webhooks: Webhooks,
    settings: Settings,
    drain: Callable[[], None] | None = None,
    traces: "Traces | None" = None,
    pages: PagesApp | None = None,
    keys: KeyVerifier | None = None,
    clock: Clock | None = None,
    doctor: Doctor | None = None,
) -> Api:
    """Make the API over a service that is entered already, a feed and a pull that run.

    `clock` is that of the process, in step with PostgreSQL's; a new one unless given.
    `drain` is called when the legacy API is asked to start a worker, and must return at once.
    `traces` is None when they are off, `pages` where there is no dashboard. `keys` are needed exactly where the
    settings require keys. `doctor` is one that knows the broker; else it examines the rest.
    """
    limits = settings.limits
    if (keys is not None) != requires_keys(settings):
        raise ValueError("API keys are verified exactly where they are required")
    return Api(
        Context(
            service=service,
            doctor=doctor or Doctor(service.database, service.attention, settings),
            feed=feed,
            pull=pull,
            webhooks=webhooks,
            feed_settings=settings.feed,
            stop_delay_s=settings.api.stop_delay_s,
            limits=limits,
            page_limit=PageLimit(
                service.offload, per_address=max(settings.database.listing_pool_size // 2, 1)
            ),
            input_limits=_input_limits(limits, service),
            access=AccessRules.of(settings.api),
            body_limits=BodyLimits(
                total=settings.api.body_memory_bytes,
                per_address=settings.api.body_memory_bytes_per_address,
            ),
            rate_limits=RateLimits(settings.rate_limits),
            stream_quota=(
                StreamQuota(settings.quotas.streams) if pages is None else pages.stream_quota
            ),
            schedule_quota=settings.quotas.schedules,
            drain=drain,
            clock=clock or SystemClock(),
            keys=keys,
            has_dashboard=pages is not None,
            sessions=None if pages is None else pages.sessions,
            warning_of=Warnings(AddressRules.of(settings.outbound)),
        ),
        traces,
        pages,
    )


def _input_limits(limits: LimitSettings, service: TaskService) -> InputLimits:
    return InputLimits(
        labels=limits.labels,
        hops=limits.hops,
        idempotency_key_chars=limits.idempotency_key_chars,
        contracts=service.contracts.by_type,
    )


def create_framework(context: Context) -> FastAPI:
    """Make the FastAPI app with all routes, also those whose usual requests `FastPath` serves."""
    app = _described()
    app.state.context = context
    documents.add_documents(
        app, static="static", with_redoc=True, contracts=documents.shown_contracts(context)
    )
    app.mount("/static", documents.PackageFiles())
    app.add_route("/", _redirect_to_documents, include_in_schema=False)
    app.router.routes.append(_legacy_mount(context))
    return app


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document without the types that have contracts."""
    return _described().openapi()


def _described() -> FastAPI:
    """Make an app with the routes that the document describes."""
    app = FastAPI(
        title="Taskmill",
        version=VERSION,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=NO_TELEMETRY,
    )
    for router in (
        sweeps.router,
        jobs.router,
        tasks.router,
        history.router,
        logs.router,
        events.router,
        claims.router,
        leases.router,
        batches.router,
        explanations.router,
        system.router,
        attention.router,
        doctor_routes.router,
        schedules.router,
        stored_schedules.router,
        types.router,
        webhook_routes.router,
        failures.router,
        failure_samples.router,
        rejections.router,
        audit.router,
        sessions.router,
        health.router,
        documents.router,
    ):
        add_routes(app, router)
    install(app, _BODIES)
    return app


def _is_never(_: str) -> bool:
    return False


async def _redirect_to_documents(_: Request) -> Response:
    return RedirectResponse("docs")


def _legacy_mount(context: Context) -> Mount:
    mount = Mount(legacy.PREFIX, legacy.create_legacy_app(context, version=VERSION))
    # Starlette's "." does not match a line break: such a path would get the 404 of the main API.
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount
