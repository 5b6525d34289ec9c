"""Keeps texts from outside from changing the direction of the text around them.

Unicode has characters that change the direction of what follows (U+202E is the best known), and some that end it.
A `<bdi>` element isolates its text, unless the text ends more than it began: so both are needed.
"""

import re
from typing import Final

from markupsafe import Markup

_TURNING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_END_OF_EMBEDDING: Final = "\u202c"
_END_OF_ISOLATE: Final = "\u2069"
_ENDS: Final = {
    **dict.fromkeys("\u202a\u202b\u202d\u202e", _END_OF_EMBEDDING),
    **dict.fromkeys("\u2066\u2067\u2068", _END_OF_ISOLATE),
}


def theirs(content: object) -> Markup:
    """Show a text from outside, isolated."""
    return Markup("<bdi>{}</bdi>").format(balanced(str(content)))


def balanced(content: str) -> str:
    """Have each line of a text end exactly the changes of direction that it began."""
    if not _TURNING.search(content):
        return content
    return "".join(map(_balanced_line, content.splitlines(keepends=True)))


def isolated(content: str) -> str:
    """Isolate a text where an element can't, as in attributes and within sentences."""
    return f"\u2068{without_turning(content)}{_END_OF_ISOLATE}"


def without_turning(content: str) -> str:
    """Remove the characters that change the direction of text."""
    return _TURNING.sub("", content)


def escaped_in_json(content: str) -> str:
    """Escape the characters that change the direction of text, in JSON, where they occur only in strings."""
    return _TURNING.sub(lambda found: f"\\u{ord(found[0]):04x}", content)


def _balanced_line(line: str) -> str:
    text = line.rstrip("\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029")
    open_ends: list[str] = []
    allowed = "".join(one for one in text if _may_stay(one, open_ends))
    return allowed + "".join(reversed(open_ends)) + line[len(text) :]


def _may_stay(one: str, open_ends: list[str]) -> bool:
    """Return whether a character may stay, and update what is open after it."""
    if one in _ENDS:
        open_ends.append(_ENDS[one])
    elif one == _END_OF_EMBEDDING:
        if open_ends[-1:] != [one]:
            return False
        open_ends.pop()
    elif one == _END_OF_ISOLATE:
        if one not in open_ends:
            return False
        while open_ends.pop() != one:
            pass
    return True
