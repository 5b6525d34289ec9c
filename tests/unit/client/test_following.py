"""Following the feed: a stream in any pieces, and when it reconnects."""

from typing import Any

import httpx
import orjson
import pytest

from taskmill.api.examples import RESPONSES
from taskmill.client import ClientError, NotAccepted, ServiceUnavailable, Unexpected, Unreachable
from taskmill.client.following import Following
from taskmill.wire.basics import PROBLEM_MEDIA_TYPE
from tests.support.fake_transport import FakeTransport, of_a_proxy, refused

CHANGE: dict[str, Any] = RESPONSES["ChangeView"]


def following(**options: Any) -> Following:  # noqa: ANN401 - those of a follower
    chosen = {"after": None, "follow": True, "retries": 1, **options}
    return Following("http://taskmill", {"queue": ("a", "b"), "status": "failed"}, **chosen)


def stream(status: int = 200, **options: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
    options.setdefault("headers", {"Content-Type": "text/event-stream; charset=utf-8"})
    return httpx.Response(status, request=httpx.Request("GET", "http://taskmill"), **options)


def an_event(cursor: str) -> bytes:
    data = orjson.dumps({**CHANGE, "cursor": cursor})
    return b"id: %b\nevent: change\ndata: %b\n\n" % (cursor.encode(), data)


TEXT = (
    b": ok\nretry: 2500\nid: 1.1\n\n"
    + an_event("1.2")
    + b"event: other\ndata: {}\n\nid: 1.9\r\n\r\nunknown: x\n: heartbeat\n\n"
    + an_event("2.1")
)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_changes_are_read_from_pieces_of_any_size(size: int) -> None:
    reader = following()
    assert reader.accepts(stream())
    seen = [
        change.cursor
        for start in range(0, len(TEXT), size)
        for change in reader.read(TEXT[start : start + size])
    ]
    assert seen == ["1.2", "2.1"]
    assert reader.call.headers["Last-Event-ID"] == "2.1"
    assert reader.pause_after(stream()) == 2.5
    assert not reader.has_ended()


def test_an_id_without_an_event_moves_the_cursor() -> None:
    reader = following(after="0")
    assert reader.call.headers["Last-Event-ID"] == "0"
    assert reader.call.parameters == (("queue", "a"), ("queue", "b"), ("status", "failed"))
    reader.accepts(stream())
    assert list(reader.read(b": heartbeat\nid: 7.1\n\n")) == []
    assert reader.call.headers["Last-Event-ID"] == "7.1"


def test_an_incomplete_event_is_dropped_after_a_cut() -> None:
    reader = following()
    reader.accepts(stream())
    assert list(reader.read(an_event("1.1") + an_event("1.2")[:-1])) != []
    assert reader.call.headers["Last-Event-ID"] == "1.1"
    reader.accepts(stream())
    assert [change.cursor for change in reader.read(an_event("1.2"))] == ["1.2"]


def test_without_following_it_ends_at_the_present() -> None:
    reader = following(follow=False)
    reader.accepts(stream())
    text = b": live\nid: 1.1\n\n" + an_event("1.2")
    assert list(reader.read(text)) == []
    assert reader.has_ended()


def test_trouble_is_an_error_at_first_and_retried_later() -> None:
    lost = httpx.ConnectError("refused")
    first = following()
    assert first.pause_after_loss(lost) == 0.1
    with pytest.raises(Unreachable):
        first.pause_after_loss(lost)
    later = following()
    later.accepts(stream())
    pauses = [later.pause_after_loss(lost) for _ in range(30)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 5.0
    list(later.read(an_event("1.1")))
    assert later.pause_after_loss(lost) == pauses[0]


def a_problem(status: int) -> httpx.Response:
    body = {"type": "/problems/x", "title": "No", "status": status, "detail": "so it is"}
    headers = {"Content-Type": PROBLEM_MEDIA_TYPE, "Retry-After": "3"}
    return stream(status, headers=headers, content=orjson.dumps(body))


def test_a_service_that_is_away_is_tried_again_when_it_requests() -> None:
    reader = following()
    assert not reader.accepts(a_problem(503))
    assert reader.pause_after(a_problem(503)) == 3
    with pytest.raises(ServiceUnavailable):
        reader.pause_after(a_problem(503))
    reader.accepts(stream())
    for _ in range(5):
        assert not reader.accepts(a_problem(503))
        assert reader.pause_after(a_problem(503)) == 3


@pytest.mark.parametrize("status", [400, 410, 422])
def test_a_refusal_is_an_error_at_any_time(status: int) -> None:
    reader = following()
    reader.accepts(stream())
    reader.accepts(a_problem(status))
    with pytest.raises(NotAccepted) as refused:
        reader.pause_after(a_problem(status))
    assert refused.value.status == status


def test_a_response_that_is_no_stream_is_unexpected() -> None:
    page = stream(headers={"Content-Type": "text/html"}, content=b"<html>")
    reader = following()
    for _ in range(2):
        assert not reader.accepts(page)
        with pytest.raises(Unexpected):
            reader.pause_after(page)
        reader.accepts(stream())


STREAM = {"Content-Type": "text/event-stream"}


def a_stream(data: object) -> httpx.Response:
    content = b"id: 1.1\nevent: change\ndata: %b\n\n" % orjson.dumps(data)
    return httpx.Response(200, headers=STREAM, content=content)


@pytest.mark.parametrize("away", [of_a_proxy(502), of_a_proxy(503), refused(503)])
def test_a_feed_goes_on_when_a_proxy_reaches_the_service_again(away: httpx.Response) -> None:
    change = RESPONSES["ChangeView"]
    transport = FakeTransport(a_stream(change), away, a_stream({**change, "cursor": "1.2"}))
    feed = transport.client(retries=0).feed()
    assert [next(feed).cursor, next(feed).cursor] == [change["cursor"], "1.2"]
    feed.close()


def test_a_change_of_another_version_is_the_clients_error() -> None:
    feed = (
        FakeTransport(a_stream({**RESPONSES["ChangeView"], "event": "sublimated"})).client().feed()
    )
    with pytest.raises(Unexpected, match="event"):
        next(feed)


@pytest.mark.parametrize(
    "away", [(of_a_proxy(502), Unexpected), (refused(503), ServiceUnavailable)]
)
def test_a_feed_that_never_connected_raises_the_error(
    away: tuple[httpx.Response, type[ClientError]],
) -> None:
    with pytest.raises(away[1]):
        next(FakeTransport(away[0]).client(retries=1).feed())
