"""Each of many tasks is made once, even if responses break off, get lost or make no sense."""

from typing import Any

import httpx
import orjson
import pytest

from taskmill.client import NotAllCreated, TaskmillClient, Unexpected, Unreachable, many
from tests.support.fake_lines import (
    AWAY,
    ID,
    LINES,
    FakeResponses,
    cut_after,
    lines_for,
    named,
    sent,
)
from tests.support.fake_service import FakeService


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


def test_tasks_with_an_outcome_before_a_reset_are_not_sent_again() -> None:
    responses = FakeResponses(cut_after(2), cut_after(0), lines_for)
    with responses.client() as client:
        assert len(client.create_many(named("a", "b", "c"))) == 3
    assert responses.sent == [["a", "b", "c"], ["c"], ["c"]]


async def test_tasks_with_an_outcome_before_a_reset_are_not_sent_again_asynchronously() -> None:
    responses = FakeResponses(cut_after(2), lines_for)
    async with responses.async_client() as client:
        assert len(await client.create_many(named("a", "b", "c"))) == 3
    assert responses.sent == [["a", "b", "c"], ["c"]]


def test_a_try_with_new_outcomes_does_not_count() -> None:
    responses = FakeResponses(cut_after(1), cut_after(1), cut_after(1), lines_for)
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
        FakeResponses(lines_for, lambda _: elsewhere).client() as client,
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


def test_a_response_that_stays_short_is_no_response(url: str, service: FakeService) -> None:
    service.lines_returned = 0
    with (
        TaskmillClient(url, retries=0) as client,
        pytest.raises(Unreachable, match="broke off"),
    ):
        client.create_many(named("a"))
