"""Following the feed in tests: a reader of server-sent events, and a service that numbers changes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import httpx
import orjson
import pytest

from taskmill.maintenance.retention import numbering
from taskmill.runtime.periodic import Periodic
from taskmill.settings import Settings
from taskmill.settings.groups import FeedSettings
from taskmill.storage.database import Database
from taskmill.storage.rights import MAINTENANCE
from tests.support.api import SETTINGS
from tests.support.polling import eventually
from tests.support.role_database import in_role
from tests.support.stage import Stage

Change = dict[str, Any]


@dataclass
class Frame:
    """One block of a stream, as it was received."""

    id: str | None = None
    event: str | None = None
    data: str | None = None
    retry: int | None = None
    comments: list[str] = field(default_factory=list)

    @property
    def change(self) -> Change:
        """The change that it carries."""
        assert self.event == "change"
        change: Change = orjson.loads(self.data or "")
        assert change["cursor"] == self.id
        return change


@asynccontextmanager
async def a_stream(
    http: httpx.AsyncClient,
    query: str = "",
    *,
    last: str | None = None,
    key: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[AsyncIterator[Frame]]:
    """Open a stream, check that it was accepted, and yield its blocks; `key` is the header that shows one."""
    headers = {**key, **({} if last is None else {"Last-Event-ID": last})}
    async with http.stream("GET", f"/events{query}", headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/event-stream"
        yield frames(response)


async def frames(response: httpx.Response) -> AsyncIterator[Frame]:
    """Read the blocks of a stream."""
    frame = Frame()
    async for line in _lines(response):
        name, _, value = line.partition(": ")
        match name:
            case "":
                if line:
                    frame.comments.append(value)
                else:
                    yield frame
                    frame = Frame()
            case "retry":
                frame.retry = int(value)
            case _:
                setattr(frame, name, value)


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """Split at line feeds only, as the standard requires."""
    partial = b""
    async for data in response.aiter_bytes():
        *lines, partial = (partial + data).split(b"\n")
        for line in lines:
            yield line.decode()


async def until(stream: AsyncIterator[Frame], comment: str) -> list[Frame]:
    """Return the blocks up to and including the one with a comment."""
    found = []
    async with asyncio.timeout(15):
        async for frame in stream:
            found.append(frame)
            if any(one.startswith(comment) for one in frame.comments):
                return found
    raise AssertionError(f"the stream ended without {comment!r}: {found[-3:]}")


async def taken(stream: AsyncIterator[Frame], count: int, *, timeout_s: float = 15) -> list[Change]:
    """Return the next `count` changes."""
    found: list[Change] = []
    async with asyncio.timeout(timeout_s):
        async for frame in stream:
            if frame.event is not None:
                found.append(frame.change)
            if len(found) == count:
                return found
    raise AssertionError(f"the stream ended after {len(found)} of {count}")


@asynccontextmanager
async def a_numbering(database: Database, *, interval_s: float = 0.02) -> AsyncIterator[None]:
    """Number changes, as maintenance does."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        duty = Periodic(
            "number-changes", numbering(in_role(database, MAINTENANCE)), interval_s=interval_s
        )
        group.create_task(duty.run(stop))
        try:
            yield
        finally:
            stop.set()


def task_versions(changes: list[Change]) -> list[tuple[str, int]]:
    """The tasks and versions of changes."""
    return [(change["task_id"], change["version"]) for change in changes]


async def all_numbered(stage: Stage) -> None:
    """Wait until every change has its position."""

    async def probe() -> bool:
        unnumbered = await stage.sql.fetchval(
            "SELECT count(*) FROM taskmill.change_batch WHERE position IS NULL"
        )
        return bool(unnumbered == 0)

    await eventually(probe, "all changes to be numbered")


@pytest.fixture
async def numbered(stage: Stage) -> AsyncIterator[None]:
    """Changes are numbered while a test runs."""
    async with a_numbering(stage.database):
        yield


def with_feed(**settings: Any) -> Settings:  # noqa: ANN401 - the settings of the feed
    """The settings of small servers, with these of the feed."""
    return SETTINGS.model_copy(update={"feed": FeedSettings(**settings)})
