"""The payload of a task of type http."""

from typing import Any

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.wire.push import matches_status, push_violations
from taskmill.wire.tasks import to_draft

URL = "https://example.org/hooks"


def pointers(payload: dict[str, Any]) -> list[str]:
    return sorted({violation.pointer for violation in push_violations(payload)})


@pytest.mark.parametrize(
    "payload",
    [
        {"url": URL},
        {"url": URL, "method": "PUT", "headers": {"X-A": "b", "Authorization": "Bearer x"}},
        {"url": URL, "body": None},
        {"url": URL, "body": [1, {"a": "b"}], "timeout_s": 0.5},
        {"url": URL, "text": "hello", "headers": {"content-type": "text/csv"}},
        {"url": URL, "expect": [200, 404, "3xx"], "retry_on": []},
    ],
)
def test_a_good_payload_passes(payload: dict[str, Any]) -> None:
    assert pointers(payload) == []


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        ({}, ["/payload/url"]),
        ({"url": "http://user:secret@example.org/"}, ["/payload/url"]),
        ({"url": 1, "method": "TRACE"}, ["/payload/method", "/payload/url"]),
        ({"url": URL, "methd": "PUT"}, ["/payload/methd"]),
        ({"url": URL, "body": {}, "text": "x"}, ["/payload/text"]),
        ({"url": URL, "timeout_s": 0}, ["/payload/timeout_s"]),
        ({"url": URL, "timeout_s": "1"}, ["/payload/timeout_s"]),
        ({"url": URL, "expect": []}, ["/payload/expect"]),
        ({"url": URL, "expect": [True]}, ["/payload/expect"]),
        ({"url": URL, "expect": [99]}, ["/payload/expect"]),
        ({"url": URL, "retry_on": ["1xx"]}, ["/payload/retry_on"]),
        ({"url": URL, "retry_on": 500}, ["/payload/retry_on"]),
        ({"url": URL, "headers": {"Host": "evil"}}, ["/payload/headers"]),
        ({"url": URL, "headers": {"a": "b", "A": "c"}}, ["/payload/headers"]),
        ({"url": URL, "headers": {"a": "b\r\nc: d"}}, ["/payload/headers"]),
        ({"url": URL, "headers": {"a b": "c"}}, ["/payload/headers"]),
        ({"url": URL, "headers": {"Webhook-Id": "1"}}, ["/payload/headers"]),
        ({"url": URL, "headers": {"Transfer-Encoding": "chunked"}}, ["/payload/headers"]),
        ({"url": URL, "headers": {"a": 1}}, ["/payload/headers/a"]),
        ({"url": URL, "headers": {f"h{n}": "" for n in range(51)}}, ["/payload/headers"]),
    ],
)
def test_a_bad_payload_is_refused_where_it_is_wrong(
    payload: dict[str, Any], wrong: list[str]
) -> None:
    assert pointers(payload) == wrong


def test_it_is_checked_where_tasks_are_made_and_never_shown() -> None:
    with pytest.raises(InvalidInput) as caught:
        to_draft(
            {"name": "x", "type": "http", "payload": {"url": "http://u:secret@h/"}}, source="rest"
        )
    assert "secret" not in str(caught.value)
    assert [one.pointer for one in caught.value.violations] == ["/payload/url"]
    for body in ({"payload": None}, {}):
        with pytest.raises(InvalidInput) as caught:
            to_draft({"name": "x", "type": "http", **body}, source="rest")
        assert [one.pointer for one in caught.value.violations] == ["/payload"]
    assert to_draft({"name": "x", "type": "http", "payload": {"url": URL}}, source="rest").payload


def test_a_callback_url_has_the_form_of_an_address() -> None:
    assert to_draft({"name": "x", "callback_url": URL}, source="rest").callback_url == URL
    assert to_draft({"name": "x", "callback_url": None}, source="rest").callback_url is None
    for url in ("ftp://example.org", "http://127.1/", "http://u:p@h/", 5):
        with pytest.raises(InvalidInput) as caught:
            to_draft({"name": "x", "callback_url": url}, source="rest")
        assert [one.pointer for one in caught.value.violations] == ["/callback_url"]


def test_the_number_of_violations_is_limited() -> None:
    payload = {"body": 1, "text": "x", **{f"n{n}": n for n in range(150)}}
    assert len(push_violations(payload)) == 20
    body = {"name": "", "type": "http", "payload": payload}
    with pytest.raises(InvalidInput) as caught:
        to_draft(body, source="rest")
    assert len(caught.value.violations) == 20


def test_classes_of_statuses_stand_for_all_of_them() -> None:
    assert matches_status(503, [408, "5xx"])
    assert matches_status(408, [408, "5xx"])
    assert not matches_status(404, [408, "5xx"])
