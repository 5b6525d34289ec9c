"""Unfinished or many large bodies: their memory is limited, and others are served."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import orjson
import pytest

from taskmill.observability.metrics import BODY_BYTES
from taskmill.settings import LimitSettings, Settings
from taskmill.settings.api import ApiSettings
from tests.support.api import LogLines, Served, serving
from tests.support.attackers import ATTACKER, RawConnection, raw_connections
from tests.support.pages import serving_pages
from tests.support.polling import eventually
from tests.support.stage import Stage

MIB = 1024**2
SETTINGS = Settings(
    api=ApiSettings(body_memory_bytes=5 * MIB, body_memory_bytes_per_address=3 * MIB),
    limits=LimitSettings(request_timeout_s=60),
)
BEGUN = b"POST /tasks/batch HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8000000\r\n\r\n["
BATCH = b"[" + b",".join([orjson.dumps({"name": "x", "description": "y" * 9000})] * 200) + b"]"


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    async with serving(stage.service, SETTINGS) as served:
        yield served


async def memory_reaches(size: int) -> None:
    """Wait until the server has about so many bytes of bodies in memory."""

    async def has_reached() -> bool:
        counted = sum(sample.value for metric in BODY_BYTES.collect() for sample in metric.samples)
        return abs(counted - size) < MIB / 4

    await eventually(has_reached, f"it holds {size} bytes")


async def unfinished(
    stack: AsyncExitStack, api: Served, size: int, address: str = ATTACKER
) -> RawConnection:
    [connection] = await stack.enter_async_context(raw_connections(api.url, 1, BEGUN, address))
    await connection.send(b" " * size)
    return connection


async def post_from(api: Served, address: str, body: bytes, path: str) -> httpx.Response:
    transport = httpx.AsyncHTTPTransport(local_address=address)
    async with httpx.AsyncClient(base_url=api.url, timeout=20, transport=transport) as http:
        return await http.post(path, content=body)


async def test_the_memory_of_unfinished_bodies_of_one_address_is_limited(
    api: Served, log_lines: LogLines
) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await unfinished(stack, api, MIB * 5 // 4)
        await memory_reaches(MIB * 5 // 2)
        late = await unfinished(stack, api, MIB)
        refused = await late.reader.readuntil(b"}")
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in refused
        assert b"the memory for one more large body is not available" in refused
        [line] = log_lines.named("bodies.limited")
        assert (line["address"], line["count"]) == ("127.0.0.2", 1)
        # Small bodies from there are accepted, and large ones from elsewhere.
        small = await post_from(api, ATTACKER, b'{"name":"a"}', "/tasks")
        large = await post_from(api, "127.0.0.1", BATCH, "/tasks/batch")
        assert (small.status_code, large.status_code) == (201, 201)
    await memory_reaches(0)


async def test_the_memory_of_bodies_of_all_addresses_is_limited(api: Served) -> None:
    async with AsyncExitStack() as stack:
        for address in ("127.0.0.2", "127.0.0.3"):
            await unfinished(stack, api, MIB * 9 // 4, address)
        await memory_reaches(MIB * 9 // 2)
        refused = await post_from(api, "127.0.0.4", BATCH, "/tasks/batch")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert (await post_from(api, "127.0.0.4", b'{"name":"a"}', "/tasks")).status_code == 201
    await memory_reaches(0)
    assert (await post_from(api, "127.0.0.4", BATCH, "/tasks/batch")).status_code == 201
    await memory_reaches(0)


async def test_a_single_body_is_accepted_however_large_it_is(api: Served) -> None:
    batch = b"[" + b",".join([BATCH[1:-1]] * 4) + b"]"
    assert len(batch) > 6 * MIB
    assert (await api.post("/tasks/batch", batch)).status_code == 201
    await memory_reaches(0)


async def test_forms_count_too(stage: Stage) -> None:
    async with serving_pages(stage, SETTINGS) as pages, AsyncExitStack() as stack:
        await unfinished(stack, pages, MIB * 11 // 4, "127.0.0.1")
        await memory_reaches(MIB * 11 // 4)
        response = await pages.post("/ui/create", b"name=x&description=" + b"y" * MIB)
        assert response.status_code == 503
