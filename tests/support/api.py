"""The API as clients see it: a real server on a free port, over a database of its own."""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from taskmill.api.app import Api, PagesApp, create_app
from taskmill.api.server import ApiServer
from taskmill.observability import logs
from taskmill.observability.traces import Traces
from taskmill.operations.feed import Feed
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.service import TaskService
from taskmill.operations.webhooks import Webhooks
from taskmill.runtime.clock import SystemClock
from taskmill.settings import LimitSettings, Settings
from taskmill.settings.auth import requires_keys
from tests.support.pulling import a_pull
from tests.support.stage import Stage, a_webhooks

LIMITS = LimitSettings(body_bytes=4096, batch_bytes=64 * 1024, batch_items=50, queues=20)
SETTINGS = Settings(limits=LIMITS)
# Without TLS no authorities are needed; a client would load those of the machine, which takes 8 ms.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running server, a client of it, and what is behind it."""

    http: httpx.AsyncClient
    url: str
    app: Api

    async def get(self, path: str, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """Get a path."""
        return await self.http.get(path, **options)

    async def post(self, path: str, body: object = None, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        """Post a value as JSON, bytes as they are, or nothing."""
        content = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        return await self.http.post(path, content=content, **options)

    async def create(self, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields of a task
        """Create a task and return it."""
        response = await self.post("/tasks", {"name": "a task", **fields})
        assert response.status_code == 201, response.text
        task: dict[str, Any] = response.json()
        return task


@asynccontextmanager
async def serving(
    service: TaskService,
    settings: Settings = SETTINGS,
    *,
    drain: Callable[[], None] | None = None,
    traces: Traces | None = None,
    webhooks: Webhooks | None = None,
    pages: PagesApp | None = None,
) -> AsyncIterator[Served]:
    """Serve a service that has been entered."""
    is_required = requires_keys(settings)
    keys = KeyVerifier(service.database, SystemClock()) if is_required else None
    feed = Feed(service.database, settings.feed, retained_days=settings.retention.change_days)
    pull = a_pull(service.database, settings.pull)
    app = create_app(
        service,
        feed=feed,
        pull=pull,
        webhooks=webhooks or a_webhooks(service.database),
        settings=settings,
        drain=drain,
        traces=traces,
        pages=pages,
        keys=keys,
    )
    server, stop = ApiServer(app, host="127.0.0.1", port=0), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(feed.run(stop))
        group.create_task(pull.run(stop))
        group.create_task(service.attention.refresher.run(stop))
        group.create_task(server.run(stop))
        await server.started.wait()
        assert server.url is not None
        try:
            async with httpx.AsyncClient(base_url=server.url, timeout=20, verify=PLAIN) as http:
                yield Served(http=http, url=server.url, app=app)
        finally:
            stop.set()


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    """A server over the stage's database, with small limits."""
    async with serving(stage.service) as served:
        yield served


class LogLines:
    """What is logged while a test runs."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def named(self, event: str) -> list[dict[str, Any]]:
        """Return all lines of one kind so far."""
        return [line for line in self._lines() if line["event"] == event]

    def warnings(self) -> list[dict[str, Any]]:
        """Return all warnings and errors so far, those of libraries too."""
        return [line for line in self._lines() if line["level"] not in {"debug", "info"}]

    def text(self) -> str:
        """Return all lines so far."""
        assert logs.flush(5)
        return self._stream.getvalue()

    def _lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def log_lines() -> Iterator[LogLines]:
    """Catch all log lines from debug on."""
    stream = io.StringIO()
    logs.configure(format="json", level="debug", stream=stream)
    yield LogLines(stream)
    # A logger keeps the level at which it first logged: a higher one would hide its lines from later tests.
    logs.configure(format="json", level="debug", stream=io.StringIO())


async def raw_request(url: str, *parts: bytes, timeout_s: float = 15.0) -> bytes:
    """Send bytes that no client library would, and return what comes until the server closes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(timeout_s):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read()
    finally:
        writer.close()
