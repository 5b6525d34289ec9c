"""Many tasks at once, from any iterable, in requests of lines."""

import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Any

import httpx
import orjson
import pytest

from taskmill.client import (
    AsyncTaskmillClient,
    InvalidInput,
    NotAllCreated,
    ServiceUnavailable,
    TaskmillClient,
    Unexpected,
    many,
)
from tests.support.fake_lines import AWAY, lines_for, named, sent
from tests.support.fake_service import FakeService

TROUBLE = {"type": "/problems/invalid-input", "title": "No", "status": 422, "detail": "wrong"}


def test_any_number_of_tasks_from_any_iterable_is_created_in_order(
    client: TaskmillClient, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "_MOST_BYTES", 200)
    ids = client.create_many(named("a", "b", "c", "d", "e"))
    assert [str(one) for one in ids] == list(service.tasks)
    assert sent(service) == [["a", "b", "c"], ["d", "e"]], "a request has an end"
    assert client.create_many([]) == []
    assert (
        client.create_many([{"name": "f"}, {"name": "g"}])
        == [task.id for task in client.list(order="asc")][5:]
    )


def test_a_request_has_no_more_lines_than_requested(
    client: TaskmillClient, service: FakeService
) -> None:
    found = list(client.create_each(named("a", "b", "c"), chunk=2))
    assert [outcome.index for outcome in found] == [0, 1, 2]
    assert sent(service) == [["a", "b"], ["c"]]


def test_nothing_is_taken_or_sent_before_it_is_needed(
    client: TaskmillClient, service: FakeService
) -> None:
    endless = ({"name": str(number)} for number in iter(int, 1))
    found = list(islice(client.create_each(endless, chunk=3), 4))
    assert len(found) == 4
    assert len(service.tasks) == 6


def test_memory_does_not_grow_with_the_number_of_tasks() -> None:
    """1,000 tasks of 40 kB are 40 MB; less than a fifth of that may be in memory."""

    def respond(request: httpx.Request) -> httpx.Response:
        count = request.content.count(b"\n")
        lines = [
            b'{"line":%d,"status":201,"id":"0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"}\n' % (n + 1)
            for n in range(count)
        ]
        headers = {"Content-Type": "application/x-ndjson"}
        return httpx.Response(200, headers=headers, content=b"".join(lines))

    def tasks() -> Iterator[dict[str, Any]]:
        for number in range(1_000):
            if number % 25 == 0:
                gc.collect()  # what httpx leaves in cycles
            yield {"name": "x", "payload": {"text": "x" * 40_000}}

    with TaskmillClient("http://x", transport=httpx.MockTransport(respond)) as client:
        gc.collect()
        gc.freeze()  # so that collecting is quick
        tracemalloc.start()
        try:
            made = sum(1 for _ in client.create_each(tasks(), chunk=25))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert made == 1_000
    assert peak < 8_000_000


def test_refused_ones_are_reported_by_position_and_the_others_exist(
    client: TaskmillClient, service: FakeService
) -> None:
    service.line_troubles = {"b": TROUBLE, "d": TROUBLE}
    with pytest.raises(
        NotAllCreated, match="3 tasks were created; 2 refused, the first at position 1"
    ) as caught:
        client.create_many(named("a", "b", "c", "d", "e"))
    refused = caught.value
    assert set(refused.refused) == {1, 3}
    assert all(isinstance(error, InvalidInput) for error in refused.refused.values())
    made = [None if one is None else service.tasks[str(one)]["name"] for one in refused.ids]
    assert made == ["a", None, "c", None, "e"]


def test_what_is_refused_for_now_is_sent_again_alone(
    client: TaskmillClient, service: FakeService
) -> None:
    service.line_troubles = {"b": AWAY}
    assert len(client.create_many(named("a", "b", "c"))) == 3
    assert sent(service) == [["a", "b", "c"], ["b"]]


def test_what_is_refused_for_now_for_too_long_is_refused(url: str, service: FakeService) -> None:
    service.line_troubles = {"b": AWAY}
    with TaskmillClient(url, retries=0) as client, pytest.raises(NotAllCreated) as caught:
        client.create_many(named("a", "b"))
    assert isinstance(caught.value.refused[1], ServiceUnavailable)


def test_keys_of_the_callers_own_hold(client: TaskmillClient, service: FakeService) -> None:
    tasks: list[dict[str, Any]] = [
        {"name": "a", "idempotency_key": "mine"},
        {"name": "b", "idempotency_key": None},
    ]
    first = client.create_many(tasks)
    again = client.create_many(tasks)
    assert first[0] == again[0]
    assert first[1] != again[1]
    assert "mine" in service.keys
    assert None not in service.keys


def passing(most_bytes: int) -> Callable[[httpx.Request], httpx.Response]:
    """A proxy that lets so much pass, and refuses more with a page of its own."""

    def respond(request: httpx.Request) -> httpx.Response:
        if len(request.content) > most_bytes:
            return httpx.Response(413, html="<h1>413 Request Entity Too Large</h1>")
        return lines_for(request.content.count(b"\n"))

    return respond


async def test_requests_that_are_too_large_for_a_proxy_are_halved() -> None:
    sizes: list[int] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sizes.append(len(request.content))
        return passing(1000)(request)

    tasks = [{"name": f"{number}"} for number in range(100)]
    transport = httpx.MockTransport(respond)
    with TaskmillClient("http://x", retries=0, transport=transport) as client:
        assert len(client.create_many(tasks)) == 100
        refused = [size for size in sizes if size > 1000]
        assert sizes[: len(refused)] == refused, "once it is known, no request is too large"
        sizes.clear()
        found = client.create_each(tasks, chunk=50)
        assert [outcome.index for outcome in found] == list(range(100))
        assert sum(size > 1000 for size in sizes) == len(refused) - 1
    async with AsyncTaskmillClient("http://x", retries=0, transport=transport) as other:
        assert len(await other.create_many(tasks)) == 100


def test_a_task_that_is_too_large_alone_is_reported_with_what_was_made() -> None:
    tasks: list[dict[str, Any]] = [{"name": "a"}, {"name": "b", "payload": {"text": "x" * 1000}}]
    transport = httpx.MockTransport(passing(500))
    with (
        TaskmillClient("http://x", transport=transport) as client,
        pytest.raises(NotAllCreated, match="from position 1 on") as caught,
    ):
        client.create_many(tasks)
    assert isinstance(caught.value.__cause__, Unexpected)
    assert caught.value.__cause__.status == 413


def test_all_or_none_are_created_in_one_transaction(
    client: TaskmillClient, service: FakeService
) -> None:
    ids = client.create_batch(named("a", "b"))
    assert [str(one) for one in ids] == list(service.tasks)
    assert [type(orjson.loads(service.requests[-1][3])), len(service.requests)] == [list, 1]


async def test_the_asynchronous_client_takes_iterables_of_both_kinds(service: FakeService) -> None:
    async def later() -> AsyncIterator[dict[str, Any]]:
        for name in ("a", "b", "c"):
            yield {"name": name}

    async with service.async_client() as client:
        assert len(await client.create_many(named("x", "y"))) == 2
        found = [outcome async for outcome in client.create_each(later(), chunk=2)]
        assert [outcome.index for outcome in found] == [0, 1, 2]
        assert len(await client.create_batch(named("z"))) == 1
        service.line_troubles = {"b": TROUBLE}
        with pytest.raises(NotAllCreated):
            await client.create_many(later())
    assert len(service.tasks) == 8


def test_made_keys_are_unique_and_no_longer_than_a_uuid() -> None:
    """Even across requests and calls: two tasks with one key would be one task."""
    calls = [many.Cutter("http://x", retries=0, most=700) for _ in range(2)]
    cut = [list(many.chunks(({"name": "a"} for _ in range(1500)), cutter)) for cutter in calls]
    assert [len(chunks) for chunks in cut] == [3, 3]
    keys = [
        orjson.loads(line)["idempotency_key"]
        for chunks in cut
        for chunk in chunks
        for line in (chunk.call.content or b"").splitlines()
    ]
    assert len(set(keys)) == len(keys) == 3000
    assert max(map(len, keys)) <= 36 - 7, "positions may have seven digits more"
