"""What takes long to read holds nobody up: the loop's thread has little to do with it."""

import asyncio
from collections.abc import AsyncIterator
from time import thread_time

import orjson
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.runtime.offload import Offload
from taskmill.settings import Settings
from tests.support.api import Served, serving
from tests.support.stage import Stage

JSON_LINES = {"content-type": "application/x-ndjson"}
FIELDS = {f"f{number:07d}": 1 for number in range(60_000)}
SMALL = b'{"name":"a"}'


class Watched:
    """Knows how long the loop's thread computed at most between two turns of the loop.

    It is the thread's own time: a machine that is busy with other things does not change it.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last = thread_time()
        self._loop = asyncio.get_running_loop()
        self._is_watching = True
        self._turn()

    def _turn(self) -> None:
        now = thread_time()
        self.longest_s = max(self.longest_s, now - self._last)
        self._last = now
        if self._is_watching:
            self._loop.call_soon(self._turn)

    def end(self) -> None:
        self._is_watching = False


@pytest.fixture
async def api(stage: Stage) -> AsyncIterator[Served]:
    """A server with the limits that it has by default."""
    async with serving(stage.service, Settings()) as served:
        await served.create()
        yield served


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/tasks", orjson.dumps({"name": "x", **FIELDS}), {}, 422),
        ("/tasks", orjson.dumps({"name": "x", "labels": FIELDS}), {}, 422),
        ("/tasks", orjson.dumps({"name": "x", "retry": FIELDS}), {}, 422),
        ("/tasks", orjson.dumps({"name": "x", "payload": FIELDS}), {}, 201),
        ("/tasks", orjson.dumps({"name": "x", "payload": FIELDS, "idempotency_key": "k"}), {}, 201),
        ("/tasks", b'{"name":"x","payload":{"a":[' + b"[]," * 340_000 + b"1]}}", {}, 201),
        ("/tasks", b'{"name":"x","payload":{"a":' + b"[" * 1_000_000, {}, 400),
        ("/tasks/cancel", orjson.dumps(FIELDS), {}, 422),
        ("/tasks/batch", b"[" + b'{"a":1},' * 200_000 + b"{}]", {}, 422),
        ("/tasks/batch", b"[" * 8_000_000, {}, 400),
        ("/tasks/batch", b"[" + b'{"name":"a","x":1},' * 3_000 + b"{}]", {}, 422),
        ("/tasks/batch", b'{"a":1}\n' * 5_000, JSON_LINES, 200),
        ("/tasks/batch", (orjson.dumps({"name": "x", **FIELDS}) + b"\n") * 5, JSON_LINES, 200),
    ],
    ids=lambda value: value[:24].decode() if isinstance(value, bytes) else None,
)
async def test_a_large_request_leaves_the_loop_free(
    api: Served, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    watched = Watched()
    answer = await api.http.post(path, content=body, headers=headers)
    watched.end()
    assert answer.status_code == status, answer.text[:200]
    # Counting of coverage doubles it; before requests were read in steps these took 0.09 to 0.7.
    assert watched.longest_s < 0.08
    if status == 422:
        assert len(answer.json()["errors"]) <= 20
        assert len(answer.content) < 20_000


async def test_small_requests_are_answered_while_a_large_one_is_read(api: Served) -> None:
    batch = (
        b"[" + b",".join([orjson.dumps({"name": "x", "payload": {"t": "y" * 3000}})] * 9_000) + b"]"
    )
    large = asyncio.create_task(  # noqa: TID251 - a test
        api.http.post("/tasks/batch", content=batch + b"}")
    )
    answered = 0
    while not large.done():
        assert (await api.post("/tasks", SMALL)).status_code == 201
        answered += 1
    assert (await large).status_code == 400
    assert answered > 10


async def test_who_comes_when_too_many_wait_is_told_to_come_later() -> None:
    offload = Offload(most_waiting=1)
    may_go = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> str:
        asyncio.run_coroutine_threadsafe(may_go.wait(), loop).result()
        return "done"

    first = asyncio.create_task(offload.run(wait))  # noqa: TID251 - a test
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await offload.run(wait)
    may_go.set()
    assert await first == "done"
    assert await offload.run_if_large(1, lambda: "here") == "here"
