"""How errors describe the values of requests."""

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.api_keys import format_key
from taskmill.wire.wording import describe, json_pointer, safe_text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (5, "the number 5"),
        (2.5, "the number 2.5"),
        (-0.0, "the number 0.0"),
        ("", "an empty string"),
        ("a", "a string of 1 character"),
        ("a" * 201, "a string of 201 characters"),
        ([1, 2], "an array"),
        ({}, "an object of 0 fields"),
        ({"a": 1}, "an object of 1 field"),
    ],
)
def test_a_value_is_described_in_a_few_words(value: object, words: str) -> None:
    assert describe(value) == words


def test_a_text_is_shown_only_when_it_may_be_and_is_short() -> None:
    assert describe("Bad Queue", reveal=True) == 'the string "Bad Queue"'
    assert describe("hunter2") == "a string of 7 characters"
    assert describe("x" * 61, reveal=True) == "a string of 61 characters"


def test_unprintable_characters_are_escaped() -> None:
    assert safe_text("a\nb\x1b[31m\ud800é") == "a\\u000ab\\u001b[31m\\ud800é"


def test_a_shown_text_has_no_secret_of_an_api_key() -> None:
    key = format_key("live", "0123456789abcdEF", bytes(range(32)))
    shown = safe_text(f"/tasks/{key}", 200)
    assert shown.startswith("/tasks/tm_live_0123456789abcdEF_")
    assert "aUlTJC7" not in shown


def test_every_entry_point_escapes_the_same_characters() -> None:
    assert json_pointer(["ж😀", "a\u202e"]) == "/ж\\u1f600/a\\u202e"
    assert describe("ж😀", reveal=True) == 'the string "ж\\u1f600"'


@given(st.text(st.characters(), max_size=300))
def test_shown_text_is_always_printable_and_short(text: str) -> None:
    shown = safe_text(text, 20)
    assert shown.isprintable()
    assert len(shown) <= 20 * len("\\u10ffff")
    assert shown.encode().decode() == shown


def test_a_pointer_escapes_what_json_pointers_escape() -> None:
    assert json_pointer(["a/b", 3, "~", ""]) == "/a~1b/3/~0/"
    assert json_pointer([]) == ""
