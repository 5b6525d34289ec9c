"""Compares output with what a page shows.

Ids, times, durations and so on differ from run to run, so each matches any other of its kind. An id on a page
stands for the same real id from then on, also in commands. `…` stands for anything; on a line of its own, for any
number of lines.
"""

import difflib
import re

__all__ = ["Ids", "difference"]

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_VOLATILE = {
    "id": _UUID,
    "moment": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)",
    "date": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT",
    "time": r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b",
    "duration": rf"(?:[+-]|\b){_NUMBER} ?(?:ms|s|m|h|d)(?: \d+(?:s|m|h))?\b",
    "process": r"\bvm-\d+",
    "header": r"\bx-request-id: [0-9a-f]+|\bcontent-length: \d+",
    "port": r"127\.0\.0\.1:\d{5}\b",
}
_LIKE = {
    **_VOLATILE,
    "process": r"[\w.-]+?-\d+",
    "duration": rf"[+-]?{_NUMBER} ?(?:ms|s|m|h|d)(?: \d+(?:s|m|h))?",
}
_KINDS = "|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _VOLATILE.items())
_TOKEN = re.compile(rf"{_KINDS}|(?P<any>…)|(?P<gap> {{2,}})")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Ids:
    """The real id of each id of a page."""

    def __init__(self) -> None:
        self._real: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """Replace the ids that the page has shown so far with real ones."""
        return re.sub(_UUID, lambda found: self._real.get(found[0], found[0]), text)

    def fits(
        self, expected: str, printed: str, *, within: bool = False, roughly: bool = False
    ) -> bool:
        """Return whether it was printed; if so, remember new ids.

        With `within` there may be other lines before and after it; with `roughly`, numbers may differ.
        """
        groups: dict[str, str] = {}
        lines = (self._line(line, groups, roughly=roughly) for line in _lines(expected))
        pattern = re.compile("".join(lines))
        text = "".join(f"{line}\n" for line in _lines(printed))
        found = pattern.search(text) if within else pattern.fullmatch(text)
        if found:
            self._real |= {shown: found[name] for shown, name in groups.items()}
        return found is not None

    def _line(self, line: str, groups: dict[str, str], *, roughly: bool) -> str:
        if line.strip() == "…":
            return r"(?:.*\n)*?"
        pattern, at = "", 0
        for token in _TOKEN.finditer(line):
            pattern += _exactly(line[at : token.start()], roughly) + self._token(token, groups)
            at = token.end()
        return pattern + _exactly(line[at:], roughly) + r"\n"

    def _token(self, token: re.Match[str], groups: dict[str, str]) -> str:
        match token.lastgroup:
            case "any":
                return ".*?"
            case "gap":
                return " +"
            case "id":
                return self._id(token[0], groups)
            case kind:
                return f"(?:{_LIKE[str(kind)]})"

    def _id(self, shown: str, groups: dict[str, str]) -> str:
        if shown in self._real:
            return self._real[shown]
        if shown in groups:
            return f"(?P={groups[shown]})"
        groups[shown] = f"id{len(groups)}"
        return f"(?P<{groups[shown]}>{_UUID})"


def _exactly(text: str, roughly: bool) -> str:  # noqa: FBT001 - see `fits`
    if not roughly:
        return re.escape(text)
    return _NUMBER.join(re.escape(part) for part in re.split(_NUMBER, text))


def difference(expected: str, printed: str) -> str:
    """Return a diff of the two, with the kinds of volatile values instead of the values."""
    shown, seen = ([_plain(line) for line in _lines(text)] for text in (expected, printed))
    return "\n".join(difflib.unified_diff(shown, seen, "on the page", "printed", lineterm=""))


def _plain(line: str) -> str:
    return _TOKEN.sub(lambda token: _sign(token.lastgroup, token[0]), line)


def _sign(kind: str | None, text: str) -> str:
    if kind in ("any", "gap"):
        return text[:2]
    return f"<{kind}>"


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in _ANSI.sub("", text).strip("\n").split("\n")]
