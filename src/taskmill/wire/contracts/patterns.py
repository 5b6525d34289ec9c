r"""Rewrites regular expressions of schemas for Rust's `regex`, whose time is linear in the text.

JSON Schema has those of ECMA-262. This accepts the part that consists of sets of characters, groups, alternatives
and repetitions: `\d`, `\w`, `\s` and `.` are spelled out as ECMA-262 defines them, lazy repetition is dropped (it
does not change whether a text matches), and lookahead is accepted at the beginning of the expression, where it is
only a second condition.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

_MOST_REPEATS: Final = 1_000
# The most single characters of an expression when its repetitions are written out.
_MOST_WEIGHT: Final = 2_000
_LONGEST: Final = 500
# The most nested groups: each costs the engine some of its stack.
_DEEPEST: Final = 50
_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)

_CLASSES: Final = {
    "d": "0-9",
    "w": "0-9A-Z_a-z",
    "s": r"\x{9}-\x{D}\x{20}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}",
}
_NO_LINE_END: Final = r"[^\x{A}\x{D}\x{2028}\x{2029}]"
_CONTROLS: Final = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}

_ESCAPED: Final = r"\\(?:[tnvfr\W_]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]{1,6}\})"
_IN_SET: Final = rf"(?:{_ESCAPED}|[^\\\]])"
# A class, a range or a character; no range begins or ends with a class.
_MEMBER: Final = rf"(?:\\[dDwWsS](?!-[^\]])|{_IN_SET}-{_IN_SET}|{_IN_SET}(?!-[^\]]))"
_TOKEN: Final = re.compile(
    rf"""
    (?P<open> \( (?: \?: | \?P?<[A-Za-z_][A-Za-z0-9_]*> )? (?!\?) )
    | (?P<close> \) )
    | (?P<branch> \| )
    | (?P<anchor> [\^$] )
    | (?P<repeat> (?P<times> [*+?] | \{{(?P<low>[0-9]{{1,5}}) (?:,(?P<high>[0-9]{{0,5}}))?\}} ) \?? )
    | (?P<set> \[ (?P<negated> \^(?!\]) | (?!\^) ) (?P<members> {_MEMBER}+ ) \] )
    | (?P<any> \. )
    | (?P<character> \\[dDwWsS] | {_ESCAPED} | [^\\()\[{{] )
    """,
    re.VERBOSE | re.DOTALL,
)
_UNCLOSED: Final = "a missing ')'"
_AHEAD: Final = re.compile(r"\(\?[=!]")


class UnsupportedPattern(ValueError):
    """The expression is invalid, or can't be checked; the text has the reason."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """An expression, ready for texts.

    `weight` estimates how many states the engine may be in at once: the cost of one character of a text.
    """

    matches: Callable[[str], bool]
    weight: int


def read_pattern(text: str) -> Pattern:
    """Return an expression that texts can be matched against.

    Raises:
        UnsupportedPattern: It can't be checked.
    """
    if len(text) > _LONGEST:
        raise UnsupportedPattern(f"more than {_LONGEST} characters")
    conditions = list(_Reader(text).conditions())
    tests = [(_matcher(regex), is_negated) for regex, _, is_negated in conditions]
    return Pattern(
        matches=lambda value: all(matches(value) != is_negated for matches, is_negated in tests),
        weight=sum(weight for _, weight, _ in conditions),
    )


def _matcher(regex: str) -> Callable[[str], bool]:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=regex)).isinstance_python
    except SchemaError:
        raise UnsupportedPattern("one that is too large") from None


class _Reader:
    """Reads an expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        # The weight of what has been read in each open group, and of what may be repeated now.
        self._weights = [0]
        self._last: int | None = None

    def conditions(self) -> Iterator[tuple[str, int, bool]]:
        """Yield expressions with their weights; with True, a text must not match."""
        if not self._text.startswith(("^(?=", "^(?!")):
            yield *self._to_end(), False
            return
        self._at = 1
        while ahead := _AHEAD.match(self._text, self._at):
            self._at = ahead.end()
            regex, weight = self._part()
            if self._at == len(self._text):
                raise UnsupportedPattern(_UNCLOSED)
            self._at += 1
            yield f"^(?:{regex})", weight, ahead[0] == "(?!"
        regex, weight = self._to_end(may_branch=False)
        yield f"^{regex}", weight, False

    def _to_end(self, *, may_branch: bool = True) -> tuple[str, int]:
        part = self._part(may_branch=may_branch)
        if self._at < len(self._text):
            raise self._unreadable()
        return part

    def _part(self, *, may_branch: bool = True) -> tuple[str, int]:
        """Read to the end, or to what closes no group that opened here; return that, rewritten, and its weight."""
        self._weights, self._last = [0], None
        written = []
        while self._at < len(self._text):
            token = _TOKEN.match(self._text, self._at)
            is_outside = len(self._weights) == 1
            if token is None or (token["branch"] and is_outside and not may_branch):
                raise self._unreadable()
            if token["close"] and is_outside:
                break
            self._at = token.end()
            written.append(self._rewritten(token))
        if len(self._weights) > 1:
            raise UnsupportedPattern(_UNCLOSED)
        if self._weights[0] > _MOST_WEIGHT:
            raise UnsupportedPattern("repetitions that are too long when they are written out")
        return "".join(written), self._weights[0]

    def _unreadable(self) -> UnsupportedPattern:
        return UnsupportedPattern(
            f"{self._text[self._at : self._at + 4]!r} at character {self._at}"
        )

    def _rewritten(self, token: re.Match[str]) -> str:
        match token.lastgroup:
            case "open":
                return self._opened()
            case "close":
                self._add(self._weights.pop())
                return ")"
            case "branch" | "anchor":
                self._last = None
                return token[0]
            case "repeat":
                return self._repeated(token)
            case _:
                self._add(1)
                return _characters(token)

    def _add(self, weight: int) -> None:
        self._weights[-1] += weight
        self._last = weight

    def _opened(self) -> str:
        if len(self._weights) > _DEEPEST:
            raise UnsupportedPattern(f"more than {_DEEPEST} groups within each other")
        self._weights.append(0)
        self._last = None
        return "(?:"

    def _repeated(self, token: re.Match[str]) -> str:
        if self._last is None:
            raise UnsupportedPattern(f"{token[0]!r} with nothing to repeat")
        low = int(token["low"] or 1)
        high = int(token["high"] or low)
        if low > high or high > _MOST_REPEATS:
            raise UnsupportedPattern(f"a repetition {token[0]}: at most {_MOST_REPEATS}")
        self._weights[-1] += self._last * (max(high, 1) - 1)
        self._last = None
        return token["times"]


def _characters(token: re.Match[str]) -> str:
    """Write a token that matches one character of a text."""
    if token["any"]:
        return _NO_LINE_END
    if token["character"]:
        return f"[{_member(token['character'])}]"
    members = re.findall(_MEMBER, token["members"], re.DOTALL)
    return f"[{token['negated']}{''.join(map(_member, members))}]"


def _member(text: str) -> str:
    """Write a member of a set: a class, a range or a character."""
    name = text[1:]
    if name.lower() in _CLASSES:
        inside = _CLASSES[name.lower()]
        return inside if name.islower() else f"[^{inside}]"
    codes = [_code(one) for one in re.findall(rf"{_ESCAPED}|[^\\]", text, re.DOTALL)]
    if codes[0] > codes[-1]:
        raise UnsupportedPattern(f"the range {text}")
    return f"{_written(codes[0])}-{_written(codes[-1])}"


def _code(character: str) -> int:
    """Return the code of a character, which may be escaped."""
    escaped = character[1:]
    if not escaped:
        return ord(character)
    if len(escaped) == 1:
        return ord(_CONTROLS.get(escaped, escaped))
    code = int(escaped[1:].strip("{}"), 16)
    if code in _SURROGATES or not 0 < code <= _LAST:
        raise UnsupportedPattern("a character that no text has")
    return code


def _written(code: int) -> str:
    """Write a character for a set; letters and digits stand for themselves."""
    text = chr(code)
    return text if text.isascii() and text.isalnum() else f"\\x{{{code:X}}}"
