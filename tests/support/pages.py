"""The dashboard as browsers see it: the API's own server with the pages, over a stage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from taskmill.dashboard.app import Dashboard
from taskmill.dashboard.context import Context
from taskmill.dashboard.jobs import Jobs
from taskmill.operations.change_ticker import ChangeTicker
from taskmill.settings import Settings
from tests.support.api import SETTINGS, Served, serving
from tests.support.stage import Stage


@asynccontextmanager
async def serving_pages(stage: Stage, settings: Settings = SETTINGS) -> AsyncIterator[Served]:
    """Serve pages over a stage, with the services that they need."""
    stop, jobs = asyncio.Event(), Jobs(stage.service, stage.ids)
    change_ticker = ChangeTicker(stage.database)
    context = Context(
        service=stage.service,
        change_ticker=change_ticker,
        jobs=jobs,
        settings=settings,
        clock=stage.clock,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(change_ticker.run(stop))
        group.create_task(jobs.run(stop))
        try:
            async with serving(stage.service, settings, pages=Dashboard(context)) as served:
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
