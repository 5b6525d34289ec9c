"""Checks a payload against a compiled schema; steps are counted, as a schema can require very many."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from taskmill.domain.errors import Violation
from taskmill.wire.contracts.comparing import equality_key, size_of
from taskmill.wire.contracts.nodes import Node, Union
from taskmill.wire.contracts.secret_fields import SecretFields
from taskmill.wire.violations import MOST_VIOLATIONS
from taskmill.wire.wording import describe, json_pointer

MOST_STEPS: Final = 100_000
QUICK_STEPS: Final = 1_000
"""These take about a millisecond (2026-11-28), which an event loop can afford."""
DEEPEST: Final = 200
# One step: this many characters, each times the states that an expression may be in; compared values; or fields
# that are looked up. The first took at most 13 µs, the last 1 to 6 (2026-11-28).
_STATES: Final = 1_000
_PARTS: Final = 10
_FIELDS: Final = 50
_KINDS: Final[Mapping[type, str]] = {
    str: "string",
    int: "integer",
    dict: "object",
    list: "array",
    bool: "boolean",
    type(None): "null",
}
NOTHING: Final = "nothing"
"""What an error says of a missing value."""
FITTING: Final = "a value that fits"
MASKED: Final = "a masked value"
"""What errors say about secret values, and of what is within one."""
_TOO_MUCH: Final = Violation(
    pointer="/payload",
    expected=f"a payload that can be checked in {MOST_STEPS:,} steps",
    got="one that takes more",
)

# Where a value is: the last step, and the path before it; None for the payload. Rendered only in an error.
Path = tuple[str | int, Any] | None
# A violation whose path is not rendered yet: most belong to alternatives, and are never reported.
Found = tuple[Path, str, str]


class TakesLong(Exception):
    """A quick check needs more than `QUICK_STEPS`: the payload is not checked yet."""


class _TooMuchError(Exception):
    """Checking the payload needs more steps than allowed."""


def violations(
    root: Node, payload: object, *, secrets: SecretFields | None = None, is_quick: bool = False
) -> tuple[Violation, ...]:
    """Return what is wrong with a payload: everything, up to a limit, in the order of the schema.

    Nothing is said of values that are `secrets` but that they do not fit.

    Raises:
        TakesLong: `is_quick` is set, and the check takes longer.
    """
    walk = Walk(QUICK_STEPS if is_quick else MOST_STEPS)
    if walk.check(root, payload):
        return tuple(dict.fromkeys(_violation(one, secrets) for one in walk.found))
    if is_quick:
        raise TakesLong
    return (_TOO_MUCH,)


@dataclass(slots=True)
class Walk:
    """One check of one payload: the steps that it took, and what it found."""

    most_steps: int = MOST_STEPS
    steps: int = 0
    found: list[Found] = field(default_factory=list)
    _depth: int = 0

    def check(self, root: Node, payload: object) -> bool:
        """Check the payload; return False when that takes too many steps or levels."""
        try:
            self._check_value(root, payload, None)
        except (_TooMuchError, RecursionError):
            # Python's stack may be nearly full already: each level takes up to four frames.
            return False
        return True

    def _check_value(self, node: Node, value: Any, path: Path) -> None:  # noqa: ANN401 - any JSON value
        if len(self.found) >= MOST_VIOLATIONS:
            return
        self._spend(1)
        if self._depth == DEEPEST:
            raise _TooMuchError
        kind = _kind(value)
        if not self._check_itself(node, kind, value, path):
            return
        self._depth += 1
        if kind == "array":
            self._check_items(node, value, path)
        elif kind == "object":
            self._check_fields(node, value, path)
        self._check_whole(node, value, path)
        self._depth -= 1

    def _check_itself(self, node: Node, kind: str, value: object, path: Path) -> bool:
        """Check a value without its parts; return False if these need no check, as it is something else."""
        if node.types is not None and kind not in node.types:
            self._add(path, node.type_words, describe(value))
            return False
        if weight := _weight(node, value):
            self._spend(weight)
        if node.values is not None and equality_key(value) not in node.values:
            self._add(path, node.value_words, describe(value))
            return False
        for rule in node.rules:
            if kind in rule.kinds and not rule.holds(value):
                self._add(path, rule.words, rule.got(value))
        return True

    def _spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > self.most_steps:
            raise _TooMuchError

    def _add(self, path: Path, expected: str, got: str) -> None:
        if len(self.found) < MOST_VIOLATIONS:
            self.found.append((path, expected, got))

    def _check_whole(self, node: Node, value: object, path: Path) -> None:
        for inner in node.all:
            self._check_value(inner, value, path)
        for union in node.unions:
            self._check_union(union, value, path)
        if node.excluded is not None and not self._tried(node.excluded, value, path):
            self._add(path, "a value that does not fit what `not` says", describe(value))

    def _check_items(self, node: Node, items: list[object], path: Path) -> None:
        for at, (inner, item) in enumerate(zip(node.prefix, items, strict=False)):
            self._check_value(inner, item, (at, path))
        if node.items is not None:
            for at in range(len(node.prefix), len(items)):
                self._check_value(node.items, items[at], (at, path))

    def _check_fields(self, node: Node, fields: dict[str, object], path: Path) -> None:
        for name, words in node.required.items():
            if name not in fields:
                self._add((name, path), words, NOTHING)
        for name, inner in node.properties.items():
            if name in fields:
                self._check_value(inner, fields[name], (name, path))
        if node.patterns or node.others or node.closed_words or node.names:
            for name in sorted(fields):
                self._check_name(node, name, fields[name], (name, path))

    def _check_name(self, node: Node, name: str, value: object, path: Path) -> None:
        self._spend(len(node.patterns) + len(name) * node.name_weight // _STATES)
        if node.names is not None:
            self._check_value(node.names, name, path)
        is_known = name in node.properties
        for matches, inner in node.patterns:
            if matches(name):
                is_known = True
                self._check_value(inner, value, path)
        if is_known:
            return
        if node.closed_words:
            self._add(path, node.closed_words, "an unknown field")
        elif node.others is not None:
            self._check_value(node.others, value, path)

    def _check_union(self, union: Union, value: object, path: Path) -> None:
        tried: list[list[Found]] = []
        for inner in union.of:
            tried.append(self._tried(inner, value, path))
            if not tried[-1] and not union.is_exactly_one:
                return
        fitting = tried.count([])
        if fitting > 1:
            expected = "a value that fits exactly one of the alternatives"
            self._add(path, expected, "one that fits several")
        elif not fitting:
            self._add_mismatch(union, tried, value, path)

    def _tried(self, node: Node, value: object, path: Path) -> list[Found]:
        before, self.found = self.found, []
        self._check_value(node, value, path)
        tried, self.found = self.found, before
        return tried

    def _add_mismatch(
        self, union: Union, tried: list[list[Found]], value: object, path: Path
    ) -> None:
        """Add why a value fits none of the alternatives: by the one that was meant, if that can be known."""
        if union.tag is not None and isinstance(value, dict):
            sent = value.get(union.tag)
            meant = [union.by_tag[sent]] if isinstance(sent, str) and sent in union.by_tag else []
            path = (union.tag, path)
            expected, got = union.tag_words, describe(sent) if union.tag in value else NOTHING
        else:
            kind = _kind(value)
            meant = [at for at, node in enumerate(union.of) if node.accepts(kind)]
            expected, got = union.words, describe(value)
        if len(meant) == 1:
            self.found += tried[meant[0]][: MOST_VIOLATIONS - len(self.found)]
        else:
            self._add(path, expected, got)


def _weight(node: Node, value: object) -> int:
    """Return the additional steps for a text's expressions, compared values, and fields that are looked up."""
    match value:
        case str():
            return len(value) * node.text_weight // _STATES
        case list():
            times, more = (node.values is not None) + node.has_unique_items, 0
        case dict():
            times = int(node.values is not None)
            more = (len(node.required) + len(node.properties)) // _FIELDS
        case _:
            return 0
    return times * (size_of(value) // _PARTS) + more if times else more


def _kind(value: object) -> str:
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return _KINDS[type(value)]


def _violation(found: Found, secrets: SecretFields | None) -> Violation:
    path, expected, got = found
    steps = _steps(path)
    depth = secrets.depth(steps) if secrets else None
    if depth is not None and depth < len(steps):
        steps, expected, got = steps[:depth], FITTING, MASKED
    elif depth is not None and got != NOTHING:
        got = MASKED
    return Violation(pointer="/payload" + json_pointer(steps), expected=expected, got=got)


def _steps(path: Path) -> list[str | int]:
    steps: list[str | int] = []
    while path is not None:
        steps.append(path[0])
        path = path[1]
    return steps[::-1]
