"""The strict parser: what it accepts, and with which error it refuses everything else."""

import gc
import json
import math
from contextlib import suppress

import pytest
from hypothesis import example, given, strategies as st

from taskmill.domain.errors import InvalidInput, MalformedJson
from taskmill.wire.strict_json import (
    LARGEST_INTEGER,
    MAX_DEPTH,
    SMALLEST_INTEGER,
    canonical_hash,
    compact,
    parse,
)

INTEGERS = st.integers(SMALLEST_INTEGER, LARGEST_INTEGER)
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
MANY_ARRAYS = b"[" + b"[]," * 100_000 + b"1]"
SCALARS = st.one_of(
    st.none(), st.booleans(), INTEGERS, st.floats(allow_nan=False, allow_infinity=False), TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"name":"first"}', {"name": "first"}),
        (b' \t\r\n{"a" : [1, 2.5, true, null]}\n', {"a": [1, 2.5, True, None]}),
        ("{'имя':'é'}".replace("'", '"').encode(), {"имя": "é"}),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"an escaped backslash: \\u0000 \\ud800"', r"an escaped backslash: \u0000 \ud800"),
        (rb'"\"quoted\" and \\ and \/"', '"quoted" and \\ and /'),
        (rb'"\u0022 is a quote"', '" is a quote'),
        (b"9223372036854775807", LARGEST_INTEGER),
        (b"-9223372036854775808", SMALLEST_INTEGER),
        (b"1.234567890123456789012", 1.234567890123456789012),
        (b'"12345678901234567890123"', "12345678901234567890123"),
        (b"-0", 0),
        (b"1e308", 1e308),
        (b'""', ""),
    ],
)
def test_strict_json_becomes_its_value(body: bytes, value: object) -> None:
    parsed = parse(body)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b"name=first", "not JSON: no value at character 0"),
        (b"{'a':1}", "not JSON at character 1"),
        (b"[1,]", "not JSON"),
        (b'{"a":}', "not JSON"),
        (b'{"a":1', "not JSON"),
        (b'"a', "not JSON"),
        (b'"\n"', "not JSON"),
        (b'"\x00"', "not JSON"),
        (rb'"\x"', "not JSON"),
        (b"01", "more follows at character 1"),
        (b'{"a":1} {"b":2}', "more follows at character 7"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b'"\xed\xa0\x80"', "not UTF-8 at byte 1"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b"NaN", "NaN is not JSON"),
        (b'{"a":-Infinity}', "-Infinity is not JSON"),
        (b"1e400", "too large for a double"),
        (b"[-1e999]", "too large for a double"),
        (b"9223372036854775808", "64 bits"),
        (b"-9223372036854775809", "64 bits"),
        (b"18446744073709551615", "64 bits"),
        (b"[" + b"9" * 5000 + b"]", "64 bits"),
        (b'{"a":1,"b":2,"a":3}', 'the key "a" is twice'),
        (b'{"x":{"a":1,"a":1}}', 'the key "a" is twice'),
        (rb'{"a":1,"\u0061":2}', 'the key "a" is twice'),
        (rb'{"\"":1,"\"":2}', "is twice"),
        (b'{"":1,"":2}', 'the key "" is twice'),
    ],
)
def test_what_is_not_strict_json_is_malformed(body: bytes, words: str) -> None:
    with pytest.raises(MalformedJson) as caught:
        parse(body)
    assert words in str(caught.value)


def test_a_long_repeated_key_is_not_echoed_completely() -> None:
    key = "k" * 10_000
    with pytest.raises(MalformedJson) as caught:
        parse(f'{{"{key}":1,"{key}":2}}'.encode())
    assert len(str(caught.value)) < 120


def nested(depth: int, opening: str, closing: str) -> bytes:
    return (opening * depth + "1" + closing * depth).encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_is_allowed_to_its_limit_and_no_deeper(opening: str, closing: str) -> None:
    levels = sum(opening.count(bracket) for bracket in "[{")
    parse(nested(MAX_DEPTH // levels, opening, closing))
    with pytest.raises(MalformedJson, match="nested deeper than 64"):
        parse(nested(MAX_DEPTH // levels + 1, opening, closing))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"]" * 100 + b"[" * 100,
        b'["' + b"[" * 100,
        b'["\\' + b"[" * 100,
    ],
)
def test_wild_nesting_is_refused_before_a_parser_meets_it(body: bytes) -> None:
    with pytest.raises(MalformedJson):
        parse(body)


def test_brackets_side_by_side_or_in_texts_are_no_nesting() -> None:
    assert parse(b"[" + b",".join([b"[[]]"] * 1000) + b"]") == [[[]]] * 1000
    assert parse(b'"' + b"[{" * 1000 + b'"') == "[{" * 1000
    assert parse(b'["' + b"[{" * 1000 + rb'\"\\"]') == ["[{" * 1000 + '"\\']


@pytest.mark.parametrize(
    ("body", "pointer", "got"),
    [
        (rb'"\u0000"', "", "a NUL character"),
        (rb'{"name":"a\u0000b"}', "/name", "a NUL character"),
        (rb'{"payload":{"x":[1,"\ud800"]}}', "/payload/x/1", "a lone surrogate"),
        (rb'["\udfff\ud800"]', "/0", "a lone surrogate"),
        (rb'{"a/b~":"\uDC00"}', "/a~1b~0", "a lone surrogate"),
        (rb'{"\u0000":1}', "/\\u0000", "a NUL character"),
        (rb'{"\ud83d":1}', "/\\ud83d", "a lone surrogate"),
    ],
)
def test_text_that_cannot_be_stored_is_invalid_and_its_pointer_is_reported(
    body: bytes, pointer: str, got: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(body)
    (violation,) = caught.value.violations
    assert violation.pointer == pointer
    assert violation.got == got


def test_of_many_bad_texts_only_the_first_are_reported() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(b"[" + b",".join([rb'"\u0000"'] * 500) + b"]")
    assert [v.pointer for v in caught.value.violations] == [f"/{i}" for i in range(20)]


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
def test_any_bytes_are_a_value_or_one_of_two_refusals(body: bytes) -> None:
    try:
        value = parse(body)
    except (MalformedJson, InvalidInput):
        return
    assert json.loads(body) == value


JSON_ISH = st.text(st.sampled_from('{}[]",:\\u0aeE+-.1 \nd8'), max_size=40)


@given(JSON_ISH.map(str.encode))
def test_anything_like_json_is_a_value_or_one_of_two_refusals(body: bytes) -> None:
    try:
        value = parse(body)
    except (MalformedJson, InvalidInput):
        return
    assert json.loads(body) == value


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_every_value_survives_the_trip(value: object, ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001  (drawn by Hypothesis)
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse(body) == value
    assert parse(compact(value).encode()) == value


@given(st.dictionaries(TEXTS, VALUES, min_size=1), st.data())
def test_a_repeated_key_is_found_wherever_it_is(
    members: dict[str, object], data: st.DataObject
) -> None:
    doubled = data.draw(st.sampled_from(sorted(members)))
    inside = json.dumps({**members}, ensure_ascii=data.draw(st.booleans()))[:-1]
    body = f"[{inside},{json.dumps(doubled)}:0}}]"
    with pytest.raises(MalformedJson, match="is twice in one object"):
        parse(body.encode())


def test_the_canonical_hash_sees_content_and_not_form() -> None:
    one = canonical_hash(parse(b'{"a":1,"b":{"c":[1,2],"d":null}}'))
    other = canonical_hash(parse(b' {"b": {"d": null, "c": [1, 2]}, "a": 1} '))
    assert one == other
    assert len(one) == 32


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": "1"}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({}, {"a": None}),
        ({"a": True}, {"a": 1}),
    ],
)
def test_the_canonical_hash_distinguishes_different_values(one: object, other: object) -> None:
    assert canonical_hash(one) != canonical_hash(other)


def test_negative_zero_stays_a_float() -> None:
    value = parse(b"-0.0")
    assert isinstance(value, float)
    assert math.copysign(1, value) == -1


@pytest.mark.parametrize(
    "body", [MANY_ARRAYS, MANY_ARRAYS.replace(b"1]", b'"\\u0041"]'), MANY_ARRAYS[:-1]]
)
def test_nothing_is_collected_while_a_large_body_is_parsed(body: bytes) -> None:
    began: list[str] = []

    def note(phase: str, _: dict[str, int]) -> None:
        began.append(phase)

    gc.collect()
    gc.callbacks.append(note)
    try:
        with suppress(MalformedJson):
            parse(body)
    finally:
        gc.callbacks.remove(note)
    assert len(began) <= 2  # at the very beginning and end
    assert gc.isenabled()


def test_a_disabled_garbage_collector_stays_disabled() -> None:
    gc.disable()
    try:
        parse(MANY_ARRAYS)
        assert not gc.isenabled()
    finally:
        gc.enable()
