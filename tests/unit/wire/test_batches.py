"""Many tasks in one request."""

import json
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.errors import InvalidInput, MalformedJson, TaskmillError, TooLarge
from taskmill.domain.task import TaskDraft
from taskmill.wire.batches import (
    BatchCreated,
    Line,
    array_drafts,
    batch_created_json,
    is_lines,
    line_created_json,
    line_drafts,
    line_refused_json,
    parse_batch,
)
from tests.unit.wire.builders import TASK_ID

NDJSON = "application/x-ndjson"


def items(body: bytes, *, max_items: int = 10_000) -> list[object]:
    parsed = parse_batch("application/json", body, max_items=max_items)
    assert isinstance(parsed, list)
    return parsed


def lines(body: bytes, *, line_bytes: int = 2**20) -> Iterator[Line]:
    parsed = parse_batch(NDJSON, body, line_bytes=line_bytes)
    assert not isinstance(parsed, list)
    return parsed


@pytest.mark.parametrize(
    ("content_type", "lined"),
    [
        ("application/x-ndjson", True),
        ("Application/NDJSON; charset=utf-8", True),
        ("application/jsonl", True),
        ("application/json", False),
        ("application/x-www-form-urlencoded", False),
        ("", False),
        (None, False),
    ],
)
def test_only_the_media_types_of_ndjson_mean_lines(
    content_type: str | None, *, lined: bool
) -> None:
    assert is_lines(content_type) is lined


def test_an_array_becomes_requests_in_order() -> None:
    drafts = array_drafts(items(b'[{"name":"a"},{"name":"b","priority":9}]'), source="rest")
    assert drafts == [TaskDraft(name="a"), TaskDraft(name="b", priority=9)]


def test_one_bad_item_makes_the_whole_array_bad_and_its_index_is_reported() -> None:
    body = b'[{"name":"a"},{"name":""},{"name":"c"},{"name":"d","priority":10,"x":1},5]'
    with pytest.raises(InvalidInput) as caught:
        array_drafts(items(body), source="rest")
    pointers = [violation.pointer for violation in caught.value.violations]
    assert pointers == ["/1/name", "/3/priority", "/3/x", "/4"]


def test_of_many_bad_items_the_first_twenty_violations_are_reported() -> None:
    with pytest.raises(InvalidInput) as caught:
        array_drafts([{}] * 10_000, source="rest")
    assert len(caught.value.violations) == 20


@pytest.mark.parametrize(
    ("body", "got"),
    [
        (b"{}", "an object of 0 fields"),
        (b'"a"', "a string of 1 character"),
        (b"[]", "0 tasks"),
        (b"[1,2,3]", "3 tasks"),
    ],
)
def test_an_array_has_one_task_to_its_limit(body: bytes, got: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        items(body, max_items=2)
    assert [v.got for v in caught.value.violations] == [got]


def test_an_array_that_is_not_json_is_malformed() -> None:
    with pytest.raises(MalformedJson):
        items(b'[{"name":"a"}')


def test_a_task_in_an_array_may_be_nested_as_deep_as_alone() -> None:
    nested = b'{"a":' * 63 + b"1" + b"}" * 63
    assert items(b"[" + nested + b"]")
    assert items(b'[{"a":' + nested + b"}]")
    with pytest.raises(MalformedJson):
        items(b'[{"a":{"a":' + nested + b"}}]")


def test_a_task_in_an_array_may_be_no_larger_than_alone() -> None:
    body = json.dumps([{"name": "a", "payload": {"x": "y" * 100}}]).encode()
    assert array_drafts(items(body), source="rest", item_bytes=200)
    with pytest.raises(InvalidInput) as caught:
        array_drafts(items(body), source="rest", item_bytes=100)
    assert [v.pointer for v in caught.value.violations] == ["/0/payload"]


def test_each_line_is_good_or_bad_by_itself() -> None:
    body = b'{"name":"a"}\n{"name":\r\n\n  \n[1]\n{"name":"e"}\r\n{"name":"\\u0000"}'
    (chunk,) = line_drafts(lines(body), source="rest")
    assert [draft.number for draft in chunk] == [1, 2, 5, 6, 7]
    kinds = [type(draft.result) for draft in chunk]
    assert kinds == [TaskDraft, MalformedJson, InvalidInput, TaskDraft, InvalidInput]


def test_a_line_over_its_limit_is_too_large_and_the_next_is_read() -> None:
    body = b'{"name":"' + b"a" * 50 + b'"}\n{"name":"b"}\n'
    first, second = lines(body, line_bytes=20)
    assert isinstance(first.error, TooLarge)
    assert second.value == {"name": "b"}


def test_lines_become_drafts_in_chunks() -> None:
    body = b'{"name":"a"}\n' * 25
    assert [len(chunk) for chunk in line_drafts(lines(body), source="rest", chunk=10)] == [
        10,
        10,
        5,
    ]


def test_a_body_without_lines_has_none() -> None:
    assert list(line_drafts(lines(b"\n \n"), source="rest")) == []
    assert list(lines(b"")) == []


def test_the_response_to_an_array_has_its_ids() -> None:
    assert BatchCreated.model_validate_json(batch_created_json([TASK_ID])).ids == [TASK_ID]


def test_the_response_to_lines_has_a_line_for_each() -> None:
    assert line_created_json(3, 201, TASK_ID) == (
        b'{"line":3,"status":201,"id":"01890a5d-ac96-774b-bcce-b302099a8057"}\n'
    )
    refused = line_refused_json(4, InvalidInput.at("/name", "a string", "null"))
    assert refused.endswith(b"\n")
    response = json.loads(refused)
    assert (response["line"], response["status"]) == (4, 422)
    assert response["problem"]["type"] == "/problems/invalid-input"


BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(st.sampled_from('{}[]",:\\u0aname19 \n'), max_size=60).map(str.encode),
    st.lists(
        st.sampled_from([b'{"name":"a"}', b"{}", b"[]", b"\xff", b"", b"NaN"]), max_size=8
    ).map(b"\n".join),
)


@given(BODIES)
def test_any_bytes_as_an_array_are_requests_or_refused(body: bytes) -> None:
    try:
        drafts = array_drafts(items(body), source="rest")
    except (MalformedJson, InvalidInput):
        return
    assert drafts


@given(BODIES)
def test_any_bytes_as_lines_have_one_result_for_each_line_with_content(body: bytes) -> None:
    drafts = [line for chunk in line_drafts(lines(body), source="rest") for line in chunk]
    assert len(drafts) == sum(1 for line in body.split(b"\n") if line.strip())
    assert all(isinstance(line.result, TaskDraft | TaskmillError) for line in drafts)


def test_blank_lines_count_and_are_skipped_at_once() -> None:
    """A body of blank lines is read in one iteration of the loop, which must not be blocked for long."""
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "c_call"

    body = b"\n \r\n\t\n 1 \r\n" + b"\n" * 10_000 + b"2"
    sys.setprofile(count)
    try:
        found = [(line.number, line.value) for line in lines(body)]
    finally:
        sys.setprofile(None)
    assert found == [(4, 1), (10_005, 2)]
    assert calls < 1000
