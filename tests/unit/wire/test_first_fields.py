"""Requests with far more fields than there are: enough of them is parsed to refuse them, and all of any other."""

import orjson
import pytest

from taskmill.domain.errors import InvalidInput, MalformedJson
from taskmill.wire.batches import LineDraft, line_drafts, parse_batch
from taskmill.wire.first_fields import parse_request
from taskmill.wire.strict_json import parse
from taskmill.wire.tasks import to_draft

MANY = {f"f{number}": 1 for number in range(80_000)}
LARGE = {"a": "x" * 70_000}


def spaced(value: object) -> bytes:
    return b" \n" + orjson.dumps(value, option=orjson.OPT_INDENT_2) + b" "


@pytest.mark.parametrize(
    "fields", [{"name": "x", **MANY}, {"name": 'a{,:"', "payload": {"a": [{}, 1]}, **MANY}]
)
@pytest.mark.parametrize("render", [orjson.dumps, spaced])
def test_of_very_many_fields_only_the_first_are_parsed(
    fields: dict[str, object], render: object
) -> None:
    body = render(fields)  # type: ignore[operator]  # one of two functions
    found = parse_request(body)
    assert found == dict(list(fields.items())[:201])
    assert parse_request(body[:-100] + b"what is not JSON") == found
    with pytest.raises(InvalidInput) as caught:
        to_draft(found, source="rest")
    assert len(caught.value.violations) == 20


@pytest.mark.parametrize(
    "value",
    [
        {"name": "x", "payload": MANY},
        {"name": "x", "payload": LARGE, "queue": "q"},
        {"payload": LARGE, **dict(list(MANY.items())[:300])},
        {**dict(list(MANY.items())[:200]), "payload": LARGE},
        dict(list(MANY.items())[:300]),
        [MANY],
        "{" + "x" * 70_000,
    ],
    ids=["fields within", "few", "the first is large", "200", "short", "array", "text"],
)
@pytest.mark.parametrize("render", [orjson.dumps, spaced])
def test_any_other_body_is_parsed_whole(value: object, render: object) -> None:
    body = render(value)  # type: ignore[operator]  # one of two functions
    assert parse_request(body) == value == parse(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2,' + orjson.dumps(MANY)[1:],
        b"{1:2," + orjson.dumps(MANY)[1:],
        b"{," + orjson.dumps(MANY)[1:],
        b"[" * 70_000,
        b'{"a":' * 20_000,
        b"\xff" * 70_000,
        b'{"\xff":1,' + orjson.dumps(MANY)[1:],
    ],
    ids=["a key twice", "a number as key", "no field", "arrays", "depth", "bytes", "no UTF-8"],
)
def test_what_is_no_json_at_its_beginning_is_refused_as_that(body: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse_request(body)


def test_lines_are_parsed_in_the_same_way() -> None:
    body = orjson.dumps({"name": "x", **MANY})[:-1] + b"no JSON\n"
    lines = parse_batch("application/x-ndjson", body)
    assert not isinstance(lines, list)
    [[line]] = line_drafts(lines, source="rest")
    assert isinstance(line, LineDraft)
    assert isinstance(line.result, InvalidInput)
