"""Filters of lists and sweeps, as they are sent."""

import os

import orjson

from taskmill.client import TaskmillClient
from tests.support.fake_service import FakeService
from tests.support.fake_transport import TASK, FakeTransport, a_response


def test_a_filter_given_as_an_iterator_holds_for_every_page() -> None:
    pages = [{"items": [TASK], "total": 2, "next_cursor": cursor} for cursor in ("c", None)]
    transport = FakeTransport(*map(a_response, pages))
    found = list(transport.client().list(status=iter(["new", "failed"]), label={"a=1": 0}.keys()))
    assert len(found) == 2
    for request in transport.requests:
        assert request.url.params.get_list("status") == ["new", "failed"]
        assert request.url.params.get_list("label") == ["a=1"]


def test_a_filter_given_as_an_iterator_holds_for_every_step() -> None:
    step = {"matched": 1, "changed": 1, "cancel_requested": 0, "dry_run": False}
    first = {**step, "is_complete": False, "next_cursor": "c"}
    transport = FakeTransport(
        a_response(first), a_response({**step, "is_complete": True, "next_cursor": None})
    )
    done = transport.client().cancel_matching(label=iter(["a=1"]), status="new")
    assert done.changed == 2
    sent = [orjson.loads(request.content) for request in transport.requests]
    assert [(one["label"], one["status"]) for one in sent] == [(["a=1"], ["new"])] * 2


def test_bytes_that_are_no_text_can_be_searched_for() -> None:
    transport = FakeTransport(a_response({"items": [], "total": 0, "next_cursor": None}))
    transport.client().page(name=os.fsdecode(b"a\xff"))
    assert transport.requests[0].url.params["name"] == "a\ufffd"


def test_a_filter_with_several_values_is_repeated(
    client: TaskmillClient, service: FakeService
) -> None:
    service.end(service.add(name="done"))
    service.add(name="waiting")

    page = client.page(status=["succeeded", "failed"], label="team=finance")

    assert [task.name for task in page.items] == ["done"]
    assert "status=succeeded&status=failed&label=team%3Dfinance" in service.requests[-1][1]
