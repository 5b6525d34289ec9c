r"""The kind of an error: what failures with one cause have in common. It counts nothing.

PostgreSQL has the same rules (`taskmill.error_kind`), by which failures are counted and found; a test compares the
two. The kind of an error is

- its fingerprint, if the handler gave it one; else
- its class and its place, the innermost function of the handler's own code: `TimeoutError in shop.mail.send`; else
- its class and the first line of its message, with # for numbers and ids: `Declined: card # is blocked`.

Of a traceback the line with the error counts, and of a page in HTML its title.
"""

import re
from hashlib import md5
from typing import Final

from taskmill.domain.lifecycle import ErrorInfo

LONGEST_KEY: Final = 200
"""The most characters of a fingerprint, and of a place."""

LONGEST_KIND: Final = 304
"""The most characters of a kind: of a class (100), ` in `, and a place."""

KIND_ID_PATTERN: Final = r"^[0-9a-f]{16}$"
KIND_ID_WORDS: Final = "16 hexadecimal digits, a to f in lower case"

_IS_KIND_ID: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_LONGEST_TYPE: Final = 100
_LONGEST_LINE: Final = 200
_LONGEST_READ: Final = 4_000
_LONGEST_SHAPED: Final = 1_000
_SPACES: Final = " \t\r\n"
_BEFORE_LAST_LINE: Final = re.compile(r".*[\r\n]", re.DOTALL)
_FIRST_LINE: Final = re.compile(r"[^\r\n]*")
_MARKUP: Final = re.compile(
    r"<(!doctype|html|head|body|\?xml).*", re.IGNORECASE | re.ASCII | re.DOTALL
)
_TITLE: Final = re.compile(r"<title[^>]*>([^<]*)", re.IGNORECASE | re.ASCII)
_TAG: Final = re.compile(r"<[^>]*>")
_BLANKS: Final = re.compile(r"[ \t\r\n]+")
_IS_ELEMENT: Final = re.compile(r"<[a-zA-Z]")
_NUMBER: Final = re.compile(
    r"(?<![A-Za-z0-9_])(?=[A-Za-z0-9_])(0x)?[0-9a-f-]*[0-9][0-9a-f-]*(?<=[A-Za-z0-9_])(?![A-Za-z0-9_])"
)
_DIGITS: Final = re.compile(r"[0-9]+")
_SEVERAL_NUMBERS: Final = re.compile(r"#([.,:-]+#)+")


def kind_of(error: ErrorInfo) -> str:
    """Return the kind of an error."""
    if error.fingerprint is not None:
        return error.fingerprint
    if error.place is not None:
        return f"{error.type[:_LONGEST_TYPE]} in {error.place}"
    return f"{error.type[:_LONGEST_TYPE]}: {message_shape(error.message)}"


def is_fingerprint(text: str) -> bool:
    """Return whether a text can be a fingerprint: it shows something, and does not stand for all others."""
    return bool(text.strip()) and text != "*"


def kind_id(kind: str) -> str:
    """Return the id of a kind: 16 digits, the same in every database."""
    return md5(kind.encode(), usedforsecurity=False).hexdigest()[:16]


def is_kind_id(text: str) -> bool:
    """Return whether a text can be the id of a kind."""
    return _IS_KIND_ID.fullmatch(text) is not None


def message_shape(message: str) -> str:
    """Return the line of a message that says what happened, with # for numbers and ids."""
    line = _NUMBER.sub("#", title_of(message)[:_LONGEST_SHAPED])
    return _SEVERAL_NUMBERS.sub("#", _DIGITS.sub("#", line))[:_LONGEST_LINE]


def title_of(message: str) -> str:
    """Return the line of a message that says what happened: neither a traceback's first one, nor markup."""
    text = message.strip(_SPACES)
    if text.startswith("Traceback"):
        line = _BEFORE_LAST_LINE.sub("", text[-_LONGEST_READ:], count=1)
    else:
        line = _first_line(text)
    return _without_markup(line, text) if "<" in line else line


def _first_line(text: str) -> str:
    found = _FIRST_LINE.match(text[:_LONGEST_READ])
    return found[0] if found else ""


def _without_markup(line: str, text: str) -> str:
    """Return what comes before markup, else its title, else its first text."""
    if _MARKUP.search(line):
        before = _MARKUP.sub("", line, count=1).strip(" \t:")
        return before or _title_of_markup(text) or "HTML"
    if _IS_ELEMENT.match(line) and text.endswith(">"):
        return _title_of_markup(text) or line
    return line


def _title_of_markup(text: str) -> str:
    beginning = text[:_LONGEST_READ]
    title = _TITLE.search(beginning)
    found = _BLANKS.sub(" ", title[1]).strip(" ") if title else ""
    return found or _BLANKS.sub(" ", _TAG.sub(" ", beginning)).strip(" ")
