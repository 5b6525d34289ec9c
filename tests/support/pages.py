"""The dashboard as browsers see it: the API's own server with the pages, over a stage."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from taskmill.dashboard.app import Dashboard
from taskmill.dashboard.context import Context
from taskmill.operations.change_ticker import ChangeTicker
from taskmill.operations.doctor import Doctor
from taskmill.operations.feed import Feed
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.sessions import Sessions
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.warnings import Warnings
from taskmill.settings import Settings
from taskmill.settings.auth import requires_keys
from tests.support.api import SETTINGS, Served, serving
from tests.support.polling import eventually
from tests.support.stage import Stage, a_webhooks

HTMX = {"hx-request": "true"}
FIRST_VIEW_BYTES = 150_000
LISTS = ("/ui/tasks", "/ui/queues", "/ui/workers", "/ui/failures")
PAGES = (
    *("/", "/ui/tasks", "/ui/tasks?status=failed&queue=default&since=1h"),
    *("/ui/queues", "/ui/workers", "/ui/failures", "/ui/create", "/ui/rejections", "/ui/audit"),
    *("/ui/schedules", "/ui/new-schedule", "/ui/webhooks", "/ui/webhooks/new", "/ui/types"),
    *(
        "/ui/jobs",
        "/ui/search",
        "/ui/search?q=task",
        "/ui/views",
        "/ui/keys",
        "/ui/events",
        "/ui/system",
        "/ui/system?settings=all",
        "/ui/system/doctor",
    ),
)


def a_sessions(stage: Stage) -> Sessions:
    """Return what verifies sessions over a stage's database."""
    return Sessions(stage.database, KeyVerifier(stage.database, stage.clock), stage.clock)


@asynccontextmanager
async def serving_pages(
    stage: Stage,
    settings: Settings = SETTINGS,
    *,
    drain: Callable[[], None] | None = None,
    doctor: Doctor | None = None,
) -> AsyncIterator[Served]:
    """Serve pages over a stage, with the services that they need."""
    sessions = a_sessions(stage) if requires_keys(settings) else None
    stop = asyncio.Event()
    change_ticker = ChangeTicker(stage.database)
    feed = Feed(stage.database, settings.feed, retained_days=settings.retention.change_days)
    context = Context(
        service=stage.service,
        webhooks=a_webhooks(stage.database, stage.ids),
        warning_of=Warnings(AddressRules.of(settings.outbound)),
        feed=feed,
        change_ticker=change_ticker,
        doctor=doctor or Doctor(stage.database, stage.service.attention, settings),
        settings=settings,
        clock=stage.clock,
        sessions=sessions,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(change_ticker.run(stop))
        group.create_task(feed.run(stop))
        group.create_task(stage.service.jobs.run(stop))
        try:
            async with serving(
                stage.service, settings, drain=drain, pages=Dashboard(context)
            ) as served:
                yield served
        finally:
            stop.set()


@pytest.fixture
async def pages(stage: Stage) -> AsyncIterator[Served]:
    """The pages over the stage's database."""
    async with serving_pages(stage) as served:
        yield served


def change_ticker_of(pages: Served) -> ChangeTicker:
    """Return the ticker that keeps these pages current."""
    dashboard = pages.app._pages
    assert isinstance(dashboard, Dashboard)
    return dashboard._context.change_ticker


def fields_of(html: str) -> dict[str, str]:
    """Return the hidden fields of a form."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', html))


async def finished(pages: Served, started: str) -> str:
    """Wait for the job that a response leads to, and return what is shown of it."""
    job = started.rpartition("job=")[2]

    async def look() -> str:
        response = await pages.get(f"/ui/jobs/{job}")
        return response.text if response.status_code == 286 else ""

    return await eventually(look, "the job is over")


async def collect_events(
    pages: Served, path: str, found: list[str], until: Callable[[list[str]], bool]
) -> None:
    """Append the names of a stream's events to `found` until `until` holds."""
    async with asyncio.timeout(15), pages.http.stream("GET", path) as response:
        assert response.headers["content-type"] == "text/event-stream"
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                found.append(line.removeprefix("event: "))
                if until(found):
                    break


async def until_begun(events: list[str]) -> None:
    """Wait until the stream has begun: it begins with an event."""

    async def look() -> bool:
        return bool(events)

    await eventually(look, "the stream has begun")
