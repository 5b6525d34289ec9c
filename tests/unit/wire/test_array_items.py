"""A large array is parsed in pieces: the items do not depend on where these end."""

import json
from itertools import chain

import orjson
import pytest
from hypothesis import given, strategies as st

from taskmill.domain.errors import InvalidInput, MalformedJson, TaskmillError
from taskmill.wire.array_items import array_items
from taskmill.wire.strict_json import MAX_DEPTH, parse

TEXTS = st.text(st.sampled_from('a"\\]},{[ёя\U0001f600 \n'), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def read(body: bytes, piece_bytes: int) -> list[object]:
    return list(chain.from_iterable(array_items(body, item_bytes=10_000, piece_bytes=piece_bytes)))


@given(st.lists(VALUES, max_size=8), st.integers(4, 60), st.sampled_from([None, 1]))
def test_pieces_of_any_size_give_the_same_items(
    items: list[object], piece_bytes: int, indent: int | None
) -> None:
    body = json.dumps(items, ensure_ascii=False, indent=indent).encode()
    assert read(body, piece_bytes) == items


@given(st.lists(VALUES, min_size=1, max_size=5), st.integers(4, 40), st.data())
def test_invalid_json_is_refused_as_in_one_piece(
    items: list[object], piece_bytes: int, data: st.DataObject
) -> None:
    body = bytearray(json.dumps(items, ensure_ascii=False).encode())
    position = data.draw(st.integers(0, len(body) - 1))
    body[position : position + data.draw(st.integers(0, 2))] = data.draw(
        st.sampled_from([b",", b"]", b'"', b"\xff", b"x"])
    )
    try:
        whole = parse(bytes(body), max_depth=MAX_DEPTH + 1)
    except TaskmillError:
        with pytest.raises((MalformedJson, InvalidInput)):
            read(bytes(body), piece_bytes)
    else:
        if isinstance(whole, list):
            assert read(bytes(body), piece_bytes) == whole
        else:
            with pytest.raises((MalformedJson, InvalidInput)):
                read(bytes(body), piece_bytes)


def test_an_item_is_as_strict_as_a_body() -> None:
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert len(read(b"[" + deep + b"," + deep + b"]", 140)) == 2
    for wrong in (b"[" + deep + b"]", b'{"a":1,"a":2}', b"NaN", b"9" * 30):
        with pytest.raises(MalformedJson):
            read(b"[" + wrong + b", " + b"1," * 200 + b"1]", 150)
    with pytest.raises(InvalidInput):
        read(b'["\\u0000", ' + b"1," * 200 + b"1]", 150)


def test_a_trailing_comma_is_refused() -> None:
    for body in (
        b"[" + b"1, " * 100 + b"]",
        b"[" + b" " * 300 + b",1]",
        b"[1" + b" " * 300 + b"2]",
    ):
        with pytest.raises(MalformedJson):
            read(body, 30)


def test_an_item_over_the_limit_is_not_read_further() -> None:
    with pytest.raises(InvalidInput, match="at most 10000 bytes"):
        read(b'[1,"' + b"x" * 100_000 + b'"]', 100)
    with pytest.raises(InvalidInput, match="at most 10000 bytes"):
        read(b'["' + b"x" * 100_000, 100)
    with pytest.raises(MalformedJson, match="nested deeper than 64"):
        read(b"[" * 100_000, 5000)


@pytest.mark.parametrize("other", [b"{}", b'"text"', b"true"])
def test_another_value_than_an_array_is_refused(other: bytes) -> None:
    with pytest.raises(InvalidInput, match="an array of tasks"):
        read(other + b" " * 300, 100)


def test_only_spaces_may_make_an_item_longer_than_the_limit() -> None:
    size = 2**20
    spaced = orjson.dumps({"a": [[]] * 100_000}).replace(b",", b"," + b" " * 20)
    dense = orjson.dumps({"a": [[]] * 800_000})
    assert size < len(spaced) < 4 * size
    assert size < len(dense) < 4 * size
    [items] = [found for found in array_items(b"[" + spaced + b"]", item_bytes=size) if found]
    assert items == [orjson.loads(spaced)]
    with pytest.raises(InvalidInput, match="a task of at most"):
        list(array_items(b"[" + dense + b",1]", item_bytes=size))
