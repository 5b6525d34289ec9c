"""Whatever a handler logs becomes text that fits and that PostgreSQL takes."""

import logging
import sys
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from taskmill.worker import lines

LIMIT = 400


class Awkward:
    """A value that can't be turned into text."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class Unprintable(Exception):
    """An exception whose traceback can't be shown."""

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]  # it is meant to break
        raise RuntimeError("no cause")


def a_record(message: object, *arguments: object, **more: object) -> logging.LogRecord:
    record = logging.LogRecord("a", 20, "a.py", 1, message, arguments, None)
    vars(record).update(more)
    return record


def parsed_fields(fields: dict[str, Any], most_bytes: int = LIMIT) -> dict[str, Any]:
    text = lines.fields_text(fields, most_bytes)
    assert text is not None
    assert len(text.encode()) <= most_bytes
    assert "\x00" not in text
    parsed: dict[str, Any] = orjson.loads(text)
    return parsed


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("short", "short"),
        ("x" * 20, "x" * 20),
        ("x" * 21, "x" * 19 + "…"),
        ("nul \x00, half \ud83d", "nul \\x00, half \\ud83d"),
        (None, "None"),
        ({"a": 1}, "{'a': 1}"),
        (Awkward(), "<Awkward>"),
    ],
)
def test_a_message_is_text_of_limited_length(message: object, text: str) -> None:
    assert lines.message_text(message, 20) == text


def test_a_record_whose_arguments_do_not_fit_is_stored_as_it_is() -> None:
    assert lines.record_message(a_record("%s of %d", 1, 2)) == "1 of 2"
    assert lines.record_message(a_record("%d", "one")) == "%d"
    assert lines.record_message(a_record("%s", Awkward())) == "%s"
    assert isinstance(lines.record_message(a_record(Awkward())), Awkward)


def test_a_records_fields_are_what_came_extra() -> None:
    assert lines.record_fields(a_record("a")) == {}
    assert lines.record_fields(a_record("a", customer=7)) == {"customer": 7}


def test_no_fields_are_none() -> None:
    assert lines.fields_text({}, LIMIT) is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        ([1, {"a": "b"}], [1, {"a": "b"}]),
        ("nul \x00", "nul \x00"),
        ("half \ud83d", "half \\ud83d"),
        (2**64, "18446744073709551616"),
        ({1: 2}, "{1: 2}"),
        ({"a"}, "{'a'}"),
        (b"\xff", "b'\\xff'"),
        (Awkward(), "<Awkward>"),
        (float("inf"), None),
    ],
)
def test_a_value_is_stored_as_json_or_as_text(value: object, shown: object) -> None:
    assert parsed_fields({"value": value, "other": 1}) == {"value": shown, "other": 1}


def test_a_value_that_is_too_long_leaves_room_for_the_others() -> None:
    assert parsed_fields({"text": "x" * 10_000, "rows": list(range(1000)), "n": 1}) == {
        "text": "x" * 99 + "…",
        "rows": orjson.dumps(list(range(1000))).decode()[:99] + "…",
        "n": 1,
    }


def test_fields_that_are_too_many_are_counted() -> None:
    shown = parsed_fields({f"f{n}": n for n in range(1000)})
    stored_count = len(shown) - 1
    assert shown["f0"] == 0
    assert 20 < stored_count < 60
    assert shown["…"] == f"{1000 - stored_count} fields left out"


def test_of_a_long_traceback_the_end_is_stored() -> None:
    shown = parsed_fields({"exception": "Traceback\n" + "x\n" * 1000 + "ValueError: no"})
    assert shown["exception"].startswith("…")
    assert shown["exception"].endswith("ValueError: no")


def test_an_exception_is_stored_with_its_traceback() -> None:
    try:
        raise LookupError("gone")  # noqa: TRY301 - to be caught
    except LookupError as error:
        for exc_info in (True, error, sys.exc_info()):
            shown = lines.with_traceback({"a": 1, "exc_info": exc_info})
            assert list(shown) == ["a", "exception"]
            assert shown["exception"].endswith("LookupError: gone")
        record = a_record("a")
        record.exc_info = sys.exc_info()
        assert lines.record_fields(record)["exception"].endswith("LookupError: gone")


def test_an_exception_that_can_not_be_shown_is_named() -> None:
    shown = lines.with_traceback({"exc_info": Unprintable("x")})
    assert shown == {"exception": "the traceback can't be shown: RuntimeError"}


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(
    st.dictionaries(st.text(st.characters(exclude_categories=())), ANYTHING, min_size=1),
    st.integers(256, 2000),
)
def test_whatever_comes_is_an_object_in_json_that_fits(
    fields: dict[str, Any], most_bytes: int
) -> None:
    assert isinstance(parsed_fields(fields, most_bytes), dict)


@given(st.text(st.characters(exclude_categories=())), st.integers(1, 50))
def test_whatever_is_logged_becomes_text_that_postgresql_takes(text: str, longest: int) -> None:
    shown = lines.message_text(text, longest)
    shown.encode()
    assert "\x00" not in shown
    assert len(shown) <= 6 * longest
