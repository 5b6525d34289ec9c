"""The strict JSON parser of every entry point: bytes in, a safe Python value out.

A parsed value is safe for everything after it: PostgreSQL can store its texts (no NUL, no lone surrogate), numbers
are finite and integers fit in 64 bits, no key is repeated, and nothing is nested deeper than `MAX_DEPTH`. This
module knows nothing of tasks.

There are two parsers. orjson is three times faster on large bodies (95 against 300 us for 9 KB; alike for 190
bytes, 1.7 us, searches included), but it accepts repeated keys, and makes floats of huge integers. So its result
is used only where cheap searches rule out both. Everything else goes through the standard library's scanner, which
can be made strict.
"""

import gc
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import sha256
from json import JSONDecodeError, JSONDecoder
from math import isinf
from typing import Final

import orjson

from taskmill.domain.errors import InvalidInput, MalformedJson, Violation
from taskmill.wire.wording import json_pointer, plain_name

MAX_DEPTH = 64
"""How many arrays and objects may be open at once; `[]` has depth 1."""

LARGEST_INTEGER = 2**63 - 1
SMALLEST_INTEGER = -(2**63)

_MAX_VIOLATIONS = 20
_LARGE = 64 * 1024
_MAX_INTEGER_CHARACTERS = 20
_BYTE_ORDER_MARK = "\ufeff"
_WHITESPACE = " \t\n\r"
# Possessive, and an unclosed string extends to the end: linear on every input.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)', re.DOTALL)
_SAME_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DIGITS_AS_ZERO = bytes(ord("0") if chr(byte) in "0123456789" else 32 for byte in range(256))
# This many digits in a row may be more than a 64-bit integer, or part of a text.
_LONG_NUMBER = b"0" * 19
_SUSPECT_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def parse(body: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Return the one JSON document that `body` is.

    Raises:
        MalformedJson: It is not strict JSON in UTF-8, is nested too deep, has a repeated key, an
            integer of more than 64 bits, or a number too large for a double.
        InvalidInput: A text in it, keys included, has a NUL character or a lone surrogate.
    """
    if body.count(b"[") + body.count(b"{") > max_depth:
        _check_depth(body, max_depth)
    if b"\\u" not in body and _LONG_NUMBER not in body.translate(_DIGITS_AS_ZERO):
        try:
            with gc_paused(len(body)):
                value = orjson.loads(body)
        except orjson.JSONDecodeError:
            return _parse_carefully(body)
        # orjson drops a repeated key, and its quotes with it. Without \u escapes a quote in a
        # text is written in the same way in both.
        if orjson.dumps(value).count(b'"') == body.count(b'"'):
            return value
    return _parse_carefully(body)


def canonical_hash(value: object) -> bytes:
    """Return the SHA-256 of a parsed value; spacing and the order of keys do not matter.

    `1` and `1.0` differ; defaults are not filled in.
    """
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()


def compact(value: object) -> str:
    """Return the value as JSON text without spacing, for storage."""
    return orjson.dumps(value).decode()


def gc_paused(size: int) -> AbstractContextManager[None]:
    """Pause garbage collection while much is parsed in one native call: nothing of it is garbage.

    350,000 empty arrays, 1 MiB, cause 500 collections. Without them all other threads wait 18 instead of 63 ms (on
    a busy machine, 2026-11-28). When two threads are in here, one of them may end the pause of the other:
    harmless.
    """
    return _gc_off() if size >= _LARGE and gc.isenabled() else _NO_PAUSE


_NO_PAUSE: Final = nullcontext()


@contextmanager
def _gc_off() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _parse_carefully(body: bytes) -> object:
    text = _decode(body)
    value = _scan_all(text)
    if "\\u" in text and _SUSPECT_ESCAPE.search(text):
        _check_texts(value)
    return value


def _decode(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedJson(f"the body is not UTF-8 at byte {error.start}") from None
    stripped = text.strip(_WHITESPACE)
    if not stripped:
        raise MalformedJson("the body is empty; expected one JSON document")
    if stripped[0] == _BYTE_ORDER_MARK:
        raise MalformedJson("the body starts with a byte order mark")
    return stripped


def _scan_all(text: str) -> object:
    try:
        with gc_paused(len(text)):
            value, end = _scan(text, 0)
    except StopIteration as stop:
        raise MalformedJson(f"not JSON: no value at character {stop.value}") from None
    except JSONDecodeError as error:
        raise MalformedJson(f"not JSON at character {error.pos}: {error.msg}") from None
    if end != len(text):
        raise MalformedJson(f"not one JSON document: more follows at character {end}")
    return value


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson(f'the key "{plain_name(_repeated_key(pairs))}" is twice in one object')
    return members


def _repeated_key(pairs: list[tuple[str, object]]) -> str:
    return Counter(key for key, _ in pairs).most_common(1)[0][0]


def _integer(digits: str) -> int:
    # The length first: converting thousands of digits is slow, and refused by Python itself.
    if len(digits) <= _MAX_INTEGER_CHARACTERS:
        number = int(digits)
        if SMALLEST_INTEGER <= number <= LARGEST_INTEGER:
            return number
    raise MalformedJson("an integer does not fit in 64 bits")


def _float(digits: str) -> float:
    number = float(digits)
    if isinf(number):
        raise MalformedJson("a number is too large for a double")
    return number


def _constant(name: str) -> object:
    raise MalformedJson(f"{name} is not JSON")


# The decoder's own scanner, without the two searches for spaces that its `decode` adds.
_scan = JSONDecoder(
    object_pairs_hook=_unique_keys,
    parse_int=_integer,
    parse_float=_float,
    parse_constant=_constant,
).scan_once  # type: ignore[attr-defined]  # public by use, missing in typeshed


def _check_depth(body: bytes, max_depth: int) -> None:
    """Refuse deep nesting before a recursive parser sees it, at the speed of replacing text.

    Each round removes the innermost brackets: balanced ones of depth n are gone after n rounds.
    """
    outside = _STRING.sub(b"", body) if b"\\" in body else b"".join(body.split(b'"')[::2])
    brackets = outside.translate(_SAME_BRACKETS, _NO_BRACKETS)
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise MalformedJson(f"nested deeper than {max_depth}, or brackets do not match")


def _check_texts(value: object) -> None:
    found: list[Violation] = []
    _collect_unstorable(value, (), found)
    if found:
        raise InvalidInput(tuple(found))


def _collect_unstorable(value: object, path: tuple[str | int, ...], found: list[Violation]) -> None:
    match value:
        case str():
            _check_text(value, path, found)
        case dict():
            for key, member in value.items():
                _check_text(key, (*path, key), found)
                _collect_unstorable(member, (*path, key), found)
        case list():
            for index, item in enumerate(value):
                _collect_unstorable(item, (*path, index), found)
        case _:
            pass


def _check_text(text: str, path: tuple[str | int, ...], found: list[Violation]) -> None:
    match = _UNSTORABLE.search(text)
    if match is not None and len(found) < _MAX_VIOLATIONS:
        got = "a NUL character" if match[0] == "\x00" else "a lone surrogate"
        expected = "text without NUL and lone surrogates"
        found.append(Violation(pointer=json_pointer(path), expected=expected, got=got))
