"""Large responses to reads are compressed for clients that accept it, and nothing else is."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest

from taskmill.api.compression import LEAST_BYTES, accepts_gzip
from taskmill.settings import LimitSettings, Settings
from tests.support.api import Served, raw_request, serving
from tests.support.polling import eventually
from tests.support.stage import Stage

GZIP = {"accept-encoding": "gzip"}
PLAIN = {"accept-encoding": "identity"}
ROOMY = Settings(limits=LimitSettings())
LARGE = {"text": "many words, again and again; " * 2000}


@pytest.fixture(params=["fast path", "layers"])
async def roomy(request: pytest.FixtureRequest, stage: Stage) -> AsyncIterator[Served]:
    """An API with the usual limits, with and without the fast path."""
    async with serving(stage.service, ROOMY) as served:
        if request.param == "layers":
            served.http.headers["content-encoding"] = "identity"
        yield served


async def test_a_large_response_is_compressed_and_has_the_headers(roomy: Served) -> None:
    task = await roomy.create(payload=LARGE)
    path = f"/tasks/{task['id']}"
    plain = await roomy.get(path, headers=PLAIN)
    short = await roomy.get(path, headers=GZIP)
    assert "content-encoding" not in plain.headers
    assert short.headers["content-encoding"] == "gzip"
    assert int(short.headers["content-length"]) < len(plain.content) / 10
    assert short.content == plain.content
    for response in (plain, short):
        assert response.headers.get_list("vary") == ["accept-encoding"]
    # Another form of the same: not the same bytes.
    assert short.headers.get_list("etag") == ["W/" + plain.headers["etag"]]


async def test_either_tag_is_that_of_the_task(roomy: Served) -> None:
    task = await roomy.create(payload=LARGE)
    path = f"/tasks/{task['id']}"
    for tag in ('"1.0"', 'W/"1.0"'):
        same = await roomy.get(path, headers={**GZIP, "if-none-match": tag})
        assert (same.status_code, same.content) == (304, b"")
        assert "content-encoding" not in same.headers


@pytest.mark.usefixtures("numbered")
async def test_the_response_of_a_long_poll_is_compressed_likewise(roomy: Served) -> None:
    task = await roomy.create(payload=LARGE, delay_s=3600)
    headers = {**GZIP, "if-none-match": 'W/"1.0"', "prefer": "wait=20"}

    async def is_waiting() -> bool:
        return bool(roomy.app._context.feed._watches)

    async with asyncio.TaskGroup() as group:
        poll = group.create_task(
            roomy.http.get(f"/tasks/{task['id']}", headers=headers, timeout=30)
        )
        await eventually(is_waiting, "the long poll waits")
        await roomy.post(f"/tasks/{task['id']}/cancel")
    response = poll.result()
    assert response.json()["status"] == "cancelled"
    assert response.headers["content-encoding"] == "gzip"
    assert response.headers["preference-applied"] == "wait"


async def test_a_head_has_the_headers_of_the_get(roomy: Served) -> None:
    task = await roomy.create(payload=LARGE)
    path = f"/tasks/{task['id']}"
    get = await roomy.get(path, headers=GZIP)
    head = await roomy.http.head(path, headers=GZIP)
    of_each = {"date", "x-request-id"}
    assert set(head.headers.items()) - {(n, head.headers[n]) for n in of_each} == (
        set(get.headers.items()) - {(n, get.headers[n]) for n in of_each}
    )
    raw = await raw_request(
        roomy.url,
        f"HEAD {path} HTTP/1.1\r\nhost: localhost\r\naccept-encoding: gzip\r\n"
        "connection: close\r\n\r\n".encode(),
    )
    assert raw.endswith(b"\r\n\r\n")


async def test_small_responses_writes_and_streams_are_not_compressed(roomy: Served) -> None:
    small = await roomy.create()
    assert "vary" not in (await roomy.get(f"/tasks/{small['id']}", headers=GZIP)).headers
    # Secrets are shown by writes only.
    created = await roomy.post("/tasks", {"name": "a", "payload": LARGE}, headers=GZIP)
    assert len(created.content) > LEAST_BYTES
    assert "content-encoding" not in created.headers
    hook = await roomy.post("/webhooks", {"url": "https://example.org/x"}, headers=GZIP)
    assert hook.json()["secret"].startswith("whsec_")
    for read in ("/webhooks", f"/webhooks/{hook.json()['id']}"):
        assert hook.json()["secret"] not in (await roomy.get(read)).text
    async with roomy.http.stream("GET", "/events?after=0", headers=GZIP) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        assert "content-encoding" not in stream.headers
        first = await anext(stream.aiter_bytes())
        assert first


async def test_lists_and_documents_are_compressed(roomy: Served) -> None:
    for _ in range(50):
        await roomy.create(description="words " * 100)
    for path in ("/tasks", "/openapi.json", "/task_service/api/v1/task/?limit=50"):
        raw = await roomy.get(path, headers=PLAIN)
        short = await roomy.get(path, headers=GZIP)
        assert len(raw.content) > LEAST_BYTES, path
        assert short.headers["content-encoding"] == "gzip", path
        assert short.json() == raw.json()
    document = await roomy.get("/openapi.json", headers=GZIP)
    again = {**GZIP, "if-none-match": document.headers["etag"]}
    assert (await roomy.get("/openapi.json", headers=again)).status_code == 304


async def test_when_all_threads_are_busy_the_response_is_not_compressed(
    roomy: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compressing delays neither the loop nor other responses."""
    task = await roomy.create(payload=LARGE)
    path = f"/tasks/{task['id']}"
    go_on, compress, compressor = threading.Event(), gzip.compress, roomy.app._compressor

    async def two_are_at_it() -> bool:
        return compressor._running == 2

    def slow(body: bytes, level: int, *, mtime: int) -> bytes:
        assert go_on.wait(20)
        return compress(body, level, mtime=mtime)

    monkeypatch.setattr(gzip, "compress", slow)
    async with asyncio.TaskGroup() as group:
        first = [group.create_task(roomy.get(path, headers=GZIP)) for _ in range(2)]
        try:
            await eventually(two_are_at_it, "two are at it")
            third = await roomy.get(path, headers=GZIP)
            assert "content-encoding" not in third.headers
            assert third.headers["vary"] == "accept-encoding"
            assert third.json()["payload"] == LARGE
        finally:
            go_on.set()
    assert [one.result().headers["content-encoding"] for one in first] == ["gzip", "gzip"]
    assert compressor._running == 0


async def test_a_client_that_leaves_during_the_compression_does_no_harm(roomy: Served) -> None:
    task = await roomy.create(payload=LARGE)
    for _ in range(5):
        async with httpx.AsyncClient(base_url=roomy.url) as other:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await other.get(f"/tasks/{task['id']}", headers=GZIP)
    response = await roomy.get(f"/tasks/{task['id']}", headers=GZIP)
    assert orjson.loads(response.content)["payload"] == LARGE


@pytest.mark.parametrize(
    ("sent", "is_accepted"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=0.5, br", True),
        ("*", True),
        ("*;q=0, gzip;q=1.0", True),
        ("gzip ; q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("identity", False),
        ("br, x-gzip", False),
        ("", False),
        (";;,q=,gzip;", True),
    ],
)
def test_accept_encoding_decides(sent: str, is_accepted: bool) -> None:  # noqa: FBT001 - what is expected
    assert accepts_gzip([(b"accept-encoding", sent.encode())]) is is_accepted
    assert accepts_gzip([(b"accept", b"gzip")]) is False
