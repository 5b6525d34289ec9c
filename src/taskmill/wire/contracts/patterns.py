r"""Rewrites regular expressions of schemas so that the engines of all entry points understand them alike.

JSON Schema has those of ECMA-262. This accepts the part that consists of sets of characters, groups, alternatives
and repetitions: `\d`, `\w`, `\s` and `.` are spelled out as ECMA-262 defines them, lazy repetition is dropped (it
does not change whether a text matches), and lookahead is accepted at the beginning of the expression, where it is
only a second condition. No accepted expression can make an engine backtrack without end: Python uses Rust's
`regex`, whose time is linear in the text, and PostgreSQL's engine gets no back references.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

Range: TypeAlias = tuple[int, int]

# PostgreSQL accepts no higher bound of a repetition.
_LARGEST_BOUND: Final = 255
_MOST_REPEATS: Final = 1_000
# The most single characters of an expression when its repetitions are written out.
_MOST_WEIGHT: Final = 2_000
_LONGEST: Final = 500
# The most nested groups: each costs this reader, and both engines, some of their stack.
_DEEPEST: Final = 50
_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)

_DIGIT: Final[tuple[Range, ...]] = ((0x30, 0x39),)
_WORD: Final[tuple[Range, ...]] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Final[tuple[Range, ...]] = (
    (0x09, 0x0D),
    (0x20, 0x20),
    (0xA0, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200A),
    (0x2028, 0x2029),
    (0x202F, 0x202F),
    (0x205F, 0x205F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
_LINE_END: Final[tuple[Range, ...]] = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_SETS: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D}
_GROUP: Final = re.compile(r"\((?:\?:|\?P?<[A-Za-z_][A-Za-z0-9_]*>)?(?!\?)")
_BOUNDS: Final = re.compile(r"\{([0-9]{1,5})(,?)([0-9]{0,5})\}")
_HEX: Final = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,6})\}")
_CODE: Final = re.compile(r"\\x\{([0-9A-F]+)\}")


class UnsupportedPattern(ValueError):
    """The expression is invalid, or can't be checked alike at all entry points; the text has the reason."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression that a text must match (or, `negated`, must not) in the two dialects that are needed.

    `weight` estimates how many states an engine may be in at once: the cost of one character of the text.
    """

    negated: bool
    rust: str
    weight: int

    @property
    def postgres(self) -> str:
        """The same with PostgreSQL's escapes for characters."""
        return _CODE.sub(lambda found: _postgres_character(int(found[1], 16)), self.rust)


def conditions_of(pattern: str) -> list[Condition]:
    """Return the conditions that a text must match, all of them.

    Raises:
        UnsupportedPattern: It can't be checked alike at all entry points.
    """
    if len(pattern) > _LONGEST:
        raise UnsupportedPattern(f"more than {_LONGEST} characters")
    return list(_Reader(pattern).conditions())


class _Reader:
    """Reads an expression from left to right; each method returns what it read, rewritten, and its weight."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def conditions(self) -> Iterator[Condition]:
        if not self._text.startswith(("^(?=", "^(?!")):
            yield _condition(self._whole(self._alternatives()))
            return
        self._at = 1
        while self._is_at("(?=", "(?!"):
            negated = self._text[self._at + 2] == "!"
            self._at += 3
            ahead, weight = self._light(self._alternatives())
            self._skip(")")
            yield _condition((f"^(?:{ahead})", weight), negated=negated)
        remaining, weight = self._whole(self._sequence())
        yield _condition((f"^{remaining}", weight))

    def _whole(self, read: tuple[str, int]) -> tuple[str, int]:
        if self._at < len(self._text):
            raise UnsupportedPattern(f"{self._text[self._at]!r} at character {self._at}")
        return self._light(read)

    def _light(self, read: tuple[str, int]) -> tuple[str, int]:
        if read[1] > _MOST_WEIGHT:
            raise UnsupportedPattern("repetitions that are too long when they are written out")
        return read

    def _alternatives(self) -> tuple[str, int]:
        written, weight = self._sequence()
        while self._is_at("|"):
            self._at += 1
            more, heavier = self._sequence()
            written, weight = f"{written}|{more}", weight + heavier
        return written, weight

    def _sequence(self) -> tuple[str, int]:
        parts, total = [], 0
        while self._at < len(self._text) and not self._is_at("|", ")"):
            part, weight = self._piece()
            parts.append(part)
            total += weight
        return "".join(parts), total

    def _piece(self) -> tuple[str, int]:
        if self._is_at("^", "$"):
            self._at += 1
            if self._is_at("*", "+", "?", "{"):
                raise UnsupportedPattern("a repeated anchor")
            return self._text[self._at - 1], 0
        atom, weight = self._atom()
        return self._repeated(atom, weight)

    def _atom(self) -> tuple[str, int]:
        character = self._text[self._at]
        if character == "(":
            return self._group()
        if character == "[":
            return _written(self._class()), 1
        if character == ".":
            self._at += 1
            return _written(_complement(_LINE_END)), 1
        if character == "\\":
            return _written(self._escape()), 1
        if character in "*+?{":
            raise UnsupportedPattern(f"{character!r} with nothing to repeat")
        self._at += 1
        return _written([(ord(character), ord(character))]), 1

    def _group(self) -> tuple[str, int]:
        opening = _GROUP.match(self._text, self._at)
        if opening is None:
            shown = self._text[self._at : self._at + 4]
            raise UnsupportedPattern(f"{shown!r}: lookahead within, lookbehind, flags, …")
        if self._depth == _DEEPEST:
            raise UnsupportedPattern(f"more than {_DEEPEST} groups within each other")
        self._at = opening.end()
        self._depth += 1
        written, weight = self._light(self._alternatives())
        self._depth -= 1
        self._skip(")")
        return f"(?:{written})", weight

    def _repeated(self, atom: str, weight: int) -> tuple[str, int]:
        if self._is_at("*", "+", "?"):
            atom += self._text[self._at]
            self._at += 1
        elif self._is_at("{"):
            low, high = self._bounds()
            atom, weight = _bounded(atom, low, high), weight * max(low, high or 0, 1)
        else:
            return atom, weight
        if self._is_at("?"):  # lazy: the same texts match
            self._at += 1
        if self._is_at("*", "+", "?", "{"):
            raise UnsupportedPattern("a repeated repetition")
        return f"(?:{atom})", weight

    def _bounds(self) -> tuple[int, int | None]:
        found = _BOUNDS.match(self._text, self._at)
        if found is None:
            raise UnsupportedPattern("'{' that begins no repetition")
        self._at = found.end()
        low = int(found[1])
        high = (int(found[3]) if found[3] else None) if found[2] else low
        if max(low, high or 0) > _MOST_REPEATS or (high is not None and high < low):
            raise UnsupportedPattern(f"a repetition {found[0]}: at most {_MOST_REPEATS}")
        return low, high

    def _class(self) -> list[Range]:
        self._at += 1
        negated = self._is_at("^")
        self._at += negated
        ranges: list[Range] = []
        while not self._is_at("]"):
            ranges += self._member()
        self._at += 1
        if not ranges:
            raise UnsupportedPattern("an empty set of characters")
        return _complement(ranges) if negated else _merged(ranges)

    def _member(self) -> list[Range]:
        first = self._single()
        if not (self._is_at("-") and not self._is_at("-]")):
            return first
        self._at += 1
        last = self._single()
        low, high = first[0][0], last[-1][1]
        if len(first) > 1 or len(last) > 1 or first[0][0] != first[0][1] or low > high:
            raise UnsupportedPattern("an invalid range")
        return [(low, high)]

    def _single(self) -> list[Range]:
        if self._at >= len(self._text):
            raise UnsupportedPattern("a set of characters that does not end")
        if self._is_at("\\"):
            return self._escape()
        self._at += 1
        code = ord(self._text[self._at - 1])
        return [(code, code)]

    def _escape(self) -> list[Range]:
        self._at += 1
        character = self._text[self._at : self._at + 1]
        if character.lower() in _SETS:
            self._at += 1
            inside = _SETS[character.lower()]
            return list(inside) if character.islower() else _complement(inside)
        code = self._code(character)
        if code in _SURROGATES or not 0 < code <= _LAST:
            raise UnsupportedPattern("a character that no text has")
        return [(code, code)]

    def _code(self, character: str) -> int:
        if found := _HEX.match(self._text, self._at):
            self._at = found.end()
            return int(found[1] or found[2] or found[3], 16)
        self._at += 1
        if character in _CONTROLS:
            return _CONTROLS[character]
        if not character or character.isalnum():
            raise UnsupportedPattern(f"'\\{character}'")
        return ord(character)

    def _is_at(self, *texts: str) -> bool:
        return self._text.startswith(texts, self._at)

    def _skip(self, text: str) -> None:
        if not self._is_at(text):
            raise UnsupportedPattern(f"a missing {text!r}")
        self._at += len(text)


def _condition(read: tuple[str, int], *, negated: bool = False) -> Condition:
    return Condition(negated=negated, rust=read[0], weight=read[1])


def _written(ranges: list[Range]) -> str:
    """Write a set of characters; letters and digits stand for themselves."""
    parts = [_character(a) if a == b else f"{_character(a)}-{_character(b)}" for a, b in ranges]
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return parts[0]
    return f"[{''.join(parts)}]"


def _character(code: int) -> str:
    text = chr(code)
    return text if text.isascii() and text.isalnum() else f"\\x{{{code:X}}}"


def _postgres_character(code: int) -> str:
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"  # noqa: PLR2004 - four hexadecimal digits


def _merged(ranges: list[Range]) -> list[Range]:
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def _complement(ranges: list[Range] | tuple[Range, ...]) -> list[Range]:
    """Return all other characters; the first is 1, since no text has a NUL."""
    others, begin = [], 1
    for low, high in _merged(list(ranges)):
        if low > begin:
            others.append((begin, low - 1))
        begin = high + 1
    if begin <= _LAST:
        others.append((begin, _LAST))
    if not others:
        raise UnsupportedPattern("an empty set of characters")
    return others


def _bounded(atom: str, low: int, high: int | None) -> str:
    """Repeat within PostgreSQL's bounds: 300 times is 255 times and 45 times."""
    parts = [f"{atom}{{{count}}}" for count in _chunks(low)]
    if high is None:
        parts.append(f"{atom}*")
    else:
        parts += [f"{atom}{{0,{count}}}" for count in _chunks(high - low)]
    return "(?:" + "".join(parts or [f"{atom}{{0}}"]) + ")"


def _chunks(count: int) -> Iterator[int]:
    while count > 0:
        yield min(count, _LARGEST_BOUND)
        count -= _LARGEST_BOUND
