"""The kind of an error is its fingerprint, its class and place, or its class and the line that says it."""

import pytest

from taskmill.domain.error_kinds import is_fingerprint, kind_id, kind_of
from taskmill.domain.lifecycle import ErrorInfo

PAGE = "<!DOCTYPE html>\n<html><head>\n<style>p {}</style><title>502 Bad\n Gateway</title></head>\n<p>x</p></html>"
TRACEBACK = 'Traceback (most recent call last):\n  File "x.py", line 1\nOSError: disk 3 is full\n\n'
MESSAGES = {
    "could not charge 42 EUR": "could not charge # EUR",
    "": "",
    "task 0197b0d2-1111-7abc-8def-0123456789ab is gone": "task # is gone",
    "at 0x7f3a, after 5s": "at #, after #s",
    "10.0.0.1:5432 at 2026-11-25T10:00:00.5Z": "# at #T#Z",
    "a feed of bad cafe": "a feed of bad cafe",
    "\r\n  first\r\nsecond": "first",
    "the bank answered 503\n<html>\n<p>busy</p>\n</html>": "the bank answered #",
    "the bank answered: <HTML>\n<p>busy</p>\n</html>": "the bank answered",
    PAGE: "# Bad Gateway",
    "<html>\n<body>\n<h1>Too many\trequests</h1></body>\n</html>": "Too many requests",
    "<html></html>": "HTML",
    "<Error><Code>NoSuchKey</Code><Id>4f</Id></Error>": "NoSuchKey #",
    "<Response [500]>": "<Response [#]>",
    "'<' not supported between 'int' and 'str'": "'<' not supported between 'int' and 'str'",
    "<lambda>() takes 1 argument": "<lambda>() takes # argument",
    TRACEBACK: "OSError: disk # is full",
}


@pytest.mark.parametrize(("message", "line"), MESSAGES.items())
def test_without_a_place_a_kind_is_the_class_and_the_line_that_says_what_happened(
    message: str, line: str
) -> None:
    assert kind_of(ErrorInfo(type="Failure", message=message)) == f"Failure: {line}"


def test_with_a_place_a_kind_is_the_class_and_the_place_whatever_the_message() -> None:
    kinds = {
        kind_of(ErrorInfo(type="Declined", message=message, place="shop.pay"))
        for message in ("card 1", "something else")
    }
    assert kinds == {"Declined in shop.pay"}


def test_a_fingerprint_alone_is_the_kind() -> None:
    errors = [
        ErrorInfo(type=name, message=name, place=place, fingerprint="bank-away")
        for name, place in (("Timeout", "shop.pay"), ("Refused", None))
    ]
    assert {kind_of(error) for error in errors} == {"bank-away"}


def test_a_kind_has_at_most_304_characters() -> None:
    long = "ж" * 10_000
    assert len(kind_of(ErrorInfo(type=long, message=long))) == 100 + len(": ") + 200
    assert len(kind_of(ErrorInfo(type=long, message="", place="ж" * 200))) == 304


@pytest.mark.parametrize(("text", "is_one"), [("a", True), (" ", False), ("", False), ("*", False)])
def test_a_fingerprint_shows_something_and_is_not_what_stands_for_all_others(
    text: str,
    is_one: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert is_fingerprint(text) is is_one


def test_an_id_is_the_same_for_the_same_kind_only() -> None:
    assert kind_id("E: one") == kind_id("E: one") != kind_id("E: two")
    assert len(kind_id("")) == 16
