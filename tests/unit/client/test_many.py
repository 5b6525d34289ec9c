"""Many tasks at once: in requests of lines, each task once, even if responses are lost."""

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
    Unreachable,
    many,
)
from tests.support.fake_service import FakeService, serving

TROUBLE = {"type": "/problems/invalid-input", "title": "No", "status": 422, "detail": "wrong"}
AWAY = {
    "type": "/problems/unavailable",
    "title": "Away",
    "status": 503,
    "detail": "away",
    "retry_after_s": 0,
}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeService, str]]:
    service = FakeService()
    with serving(service) as address:
        yield service, address


@pytest.fixture
def service(served: tuple[FakeService, str]) -> FakeService:
    served[0].clear()
    return served[0]


@pytest.fixture
def client(served: tuple[FakeService, str]) -> Iterator[TaskmillClient]:
    with TaskmillClient(served[1]) as opened:
        yield opened


def named(*names: str) -> Iterator[dict[str, Any]]:
    return ({"name": name} for name in names)


def sent(service: FakeService) -> list[list[str]]:
    """The names in each request."""
    return [
        [orjson.loads(line)["name"] for line in body.splitlines()]
        for _, _, _, body in service.requests
    ]


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
        gc.freeze()  # so that collecting is quick
        tracemalloc.start()
        try:
            made = sum(1 for _ in client.create_each(tasks(), chunk=25))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.unfreeze()
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


def test_what_is_refused_for_now_for_too_long_is_refused(
    served: tuple[FakeService, str], service: FakeService
) -> None:
    service.line_troubles = {"b": AWAY}
    with TaskmillClient(served[1], retries=0) as client, pytest.raises(NotAllCreated) as caught:
        client.create_many(named("a", "b"))
    assert isinstance(caught.value.refused[1], ServiceUnavailable)


def test_a_response_that_breaks_off_makes_no_task_twice(
    client: TaskmillClient, service: FakeService
) -> None:
    service.lines_returned = 1
    ids = client.create_many(named("a", "b", "c"))
    assert [str(one) for one in ids] == list(service.tasks)
    assert sent(service) == [["a", "b", "c"], ["b", "c"]]


def test_a_response_that_is_lost_makes_no_task_twice(
    client: TaskmillClient, service: FakeService
) -> None:
    service.refuse_next(503)
    found = list(client.create_each(named("a", "b")))
    assert [outcome.was_there for outcome in found] == [True, True]
    assert len(service.tasks) == 2


def test_a_response_may_come_in_any_pieces() -> None:
    ids = [f"0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e{n}f" for n in range(3)]
    whole = b"".join(
        b'{"line":%d,"status":201,"id":"%s"}\n' % (n + 1, one.encode()) for n, one in enumerate(ids)
    )

    def respond(_: httpx.Request) -> httpx.Response:
        pieces = (whole[at : at + 7] for at in range(0, len(whole), 7))
        return httpx.Response(200, headers={"Content-Type": "application/x-ndjson"}, content=pieces)

    with TaskmillClient("http://x", transport=httpx.MockTransport(respond)) as client:
        assert [str(one) for one in client.create_many(named("a", "b", "c"))] == ids


def test_a_response_of_something_else_is_unexpected() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>\n"))
    with TaskmillClient("http://x", transport=transport) as client, pytest.raises(Unexpected):
        client.create_many(named("a"))


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


def test_a_connection_lost_between_requests_is_reported_with_what_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(many, "_MOST_BYTES", 250)

    def respond(request: httpx.Request) -> httpx.Response:
        if b'"late"' in request.content:
            raise httpx.ReadError("cut")
        line = b'{"line":1,"status":201,"id":"0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"}'
        return httpx.Response(200, headers={"Content-Type": "application/x-ndjson"}, content=line)

    transport = httpx.MockTransport(respond)
    tasks: list[dict[str, Any]] = [{"name": "a", "payload": {"text": "x" * 250}}, {"name": "late"}]
    with TaskmillClient("http://x", retries=0, transport=transport) as client:
        with pytest.raises(NotAllCreated, match="from position 1 on") as caught:
            client.create_many(tasks)
        assert len(caught.value.ids) == 1
        assert isinstance(caught.value.__cause__, Unreachable)
        with pytest.raises(Unreachable):
            client.create_many(tasks[1:])
        each = client.create_each(tasks)
        assert next(each).index == 0
        with pytest.raises(Unreachable):
            next(each)


LINES = {"Content-Type": "application/x-ndjson"}
ID = "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"


class Lines(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A response for so many tasks; a cut one ends in a lost connection."""

    def __init__(self, count: int, *, is_cut: bool) -> None:
        self._count = count
        self._is_cut = is_cut

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self._count):
            yield b'{"line":%d,"status":201,"id":"%s"}\n' % (number + 1, ID.encode())
        if self._is_cut:
            yield b'{"line":%d,"sta' % (self._count + 1)
            raise httpx.ReadError("cut")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def a_response(count: int, *, is_cut: bool = False) -> httpx.Response:
    return httpx.Response(200, headers=LINES, stream=Lines(count, is_cut=is_cut))


class FakeResponses:
    """Gives one response after the other, the last one for ever; records the names that were sent."""

    def __init__(self, *responses: Callable[[int], httpx.Response]) -> None:
        self.sent: list[list[str]] = []
        self._responses = list(responses)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        names = [orjson.loads(line)["name"] for line in request.content.splitlines()]
        self.sent.append(names)
        respond = self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]
        return respond(len(names))

    def client(self, retries: int = 3) -> TaskmillClient:
        return TaskmillClient("http://x", retries=retries, transport=httpx.MockTransport(self))

    def async_client(self, retries: int = 3) -> AsyncTaskmillClient:
        transport = httpx.MockTransport(self)
        return AsyncTaskmillClient("http://x", retries=retries, transport=transport)


def cut_after(count: int) -> Callable[[int], httpx.Response]:
    return lambda _: a_response(count, is_cut=True)


def test_tasks_with_an_outcome_before_a_reset_are_not_sent_again() -> None:
    responses = FakeResponses(cut_after(2), cut_after(0), a_response)
    with responses.client() as client:
        assert len(client.create_many(named("a", "b", "c"))) == 3
    assert responses.sent == [["a", "b", "c"], ["c"], ["c"]]


async def test_tasks_with_an_outcome_before_a_reset_are_not_sent_again_asynchronously() -> None:
    responses = FakeResponses(cut_after(2), a_response)
    async with responses.async_client() as client:
        assert len(await client.create_many(named("a", "b", "c"))) == 3
    assert responses.sent == [["a", "b", "c"], ["c"]]


def test_a_try_with_new_outcomes_does_not_count() -> None:
    responses = FakeResponses(cut_after(1), cut_after(1), cut_after(1), a_response)
    with responses.client(retries=1) as client:
        assert len(client.create_many(named("a", "b", "c", "d"))) == 4


def test_outcomes_before_the_last_reset_are_reported() -> None:
    with (
        FakeResponses(cut_after(2)).client(retries=0) as client,
        pytest.raises(NotAllCreated, match="from position 2 on") as caught,
    ):
        client.create_many(named("a", "b", "c"))
    assert [str(one) for one in caught.value.ids] == [ID, ID]
    assert isinstance(caught.value.__cause__, Unreachable)
    with FakeResponses(cut_after(2)).client(retries=0) as client:
        found = client.create_each(named("a", "b", "c"))
        assert [next(found).index, next(found).index] == [0, 1]
        with pytest.raises(Unreachable):
            next(found)


async def test_outcomes_before_the_last_reset_are_reported_asynchronously() -> None:
    async with FakeResponses(cut_after(2)).async_client(retries=0) as client:
        with pytest.raises(NotAllCreated, match="from position 2 on"):
            await client.create_many(named("a", "b", "c"))
        found = client.create_each(named("a", "b", "c"))
        assert [(await anext(found)).index, (await anext(found)).index] == [0, 1]
        with pytest.raises(Unreachable):
            await anext(found)


def test_the_outcome_of_a_retry_whose_response_was_lost_is_unknown() -> None:
    """A line with a temporary refusal was sent again: perhaps its task was made then."""

    def refuses_the_first(_: int) -> httpx.Response:
        problem = orjson.dumps(AWAY)
        lines = b'{"line":1,"status":503,"problem":%s}\n{"line":2,"status":201,"id":"%s"}\n'
        return httpx.Response(200, headers=LINES, content=lines % (problem, ID.encode()))

    responses = FakeResponses(refuses_the_first, cut_after(0))
    with responses.client(retries=1) as client, pytest.raises(Unreachable):
        client.create_many(named("a", "b"))
    assert responses.sent == [["a", "b"], ["a"]]


@pytest.mark.parametrize("status", [301, 307])
def test_a_redirect_is_reported_with_what_was_made(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "_MOST_BYTES", 1)
    elsewhere = httpx.Response(status, json={}, headers={"Location": "/"})
    with (
        FakeResponses(a_response, lambda _: elsewhere).client() as client,
        pytest.raises(NotAllCreated, match="from position 1 on") as caught,
    ):
        client.create_many(named("a", "b"))
    assert isinstance(caught.value.__cause__, Unexpected)
    assert "redirect" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "1",
        "[]",
        '{"line":0,"status":201,"id":"%s"}',
        '{"line":2,"status":201,"id":"%s"}',
        '{"line":"1","status":201,"id":"%s"}',
        '{"line":1,"status":201,"id":null}',
        '{"line":1,"id":"%s"}',
        '{"line":1,"status":201,"id":"none"}',
        '{"line":1,"status":422,"problem":7}',
    ],
)
def test_a_line_that_belongs_to_no_task_is_unexpected(line: str) -> None:
    content = (line.replace("%s", ID) + "\n").encode()
    strange = FakeResponses(lambda _: httpx.Response(200, headers=LINES, content=content))
    with strange.client() as client, pytest.raises(Unexpected):
        client.create_many(named("a"))


def passing(most_bytes: int) -> Callable[[httpx.Request], httpx.Response]:
    """A proxy that lets so much pass, and refuses more with a page of its own."""

    def respond(request: httpx.Request) -> httpx.Response:
        if len(request.content) > most_bytes:
            return httpx.Response(413, html="<h1>413 Request Entity Too Large</h1>")
        return a_response(request.content.count(b"\n"))

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


def test_a_response_that_stays_short_is_no_response(
    served: tuple[FakeService, str], service: FakeService
) -> None:
    service.lines_returned = 0
    with (
        TaskmillClient(served[1], retries=0) as client,
        pytest.raises(Unreachable, match="broke off"),
    ):
        client.create_many(named("a"))


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

    transport = httpx.ASGITransport(service.app)
    async with AsyncTaskmillClient("http://taskmill", transport=transport) as client:
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
