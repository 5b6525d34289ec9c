"""Checks a payload against the normal form of a schema; steps are counted, as a schema can require very many."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from taskmill.domain.errors import Violation
from taskmill.wire.contracts.comparing import RULES, Holds, equality_key, matcher, size_of
from taskmill.wire.violations import MOST_IN_PAYLOAD
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
_UNWEIGHED: Final = 25  # for an expression that was compiled before weights were
ROOT: Final = ("/payload", None)
_KINDS: Final[Mapping[type, str]] = {
    str: "string",
    int: "integer",
    dict: "object",
    list: "array",
    bool: "boolean",
    type(None): "null",
}
_TOO_MUCH: Final = Violation(
    pointer="/payload",
    expected=f"a payload that can be checked in {MOST_STEPS:,} steps",
    got="one that takes more",
)

# Where a value is: the last step, and the path before it. Rendered only in an error.
Path = tuple[str | int, Any]
# A violation whose path is not rendered yet: most belong to alternatives, and are never reported.
Found = tuple[Path, str, str]


class TakesLong(Exception):
    """A quick check needs more than `QUICK_STEPS`: the payload is not checked yet."""


class _TooMuchError(Exception):
    """Checking the payload needs more steps than allowed."""


@dataclass(slots=True, kw_only=True)
class _Rule:
    """One rule for values of some kinds."""

    kinds: tuple[str, ...]
    holds: Holds
    words: str
    counts_items: bool
    is_about_repeats: bool


@dataclass(slots=True, kw_only=True)
class _Union:
    """Alternatives; see `unions.py`."""

    exactly: bool
    of: Sequence[int]
    words: str
    several_words: str
    tag: str | None
    by_tag: Mapping[str, int]
    tag_words: str


@dataclass(slots=True, kw_only=True)
class _Node:
    """A node, ready to be walked; see `compiling.py`."""

    types: frozenset[str] | None
    type_words: str
    values: frozenset[object] | None
    enum_words: str
    rules: Sequence[_Rule]
    text_weight: int
    is_about_repeats: bool
    items: int | None
    prefix: Sequence[int]
    required: Sequence[tuple[str, str]]
    properties: Sequence[tuple[str, int]]
    known: frozenset[str]
    field_weight: int
    patterns: Sequence[tuple[Holds, int]]
    name_weight: int
    others: int | None
    others_words: str
    names: int | None
    all: Sequence[int]
    unions: Sequence[_Union]
    nots: Sequence[tuple[int, str]]


class Checker:
    """The nodes of one schema; it may be used by many threads."""

    def __init__(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        self._nodes = [_node(node) for node in nodes]

    def violations(self, payload: object, *, is_quick: bool = False) -> list[Violation]:
        """Return what is wrong with a payload: everything, up to a limit, in the order of the schema.

        Raises:
            TakesLong: `is_quick` is set, and the check takes longer.
        """
        walk, found = self._walked(payload, QUICK_STEPS if is_quick else MOST_STEPS)
        if walk.is_over and is_quick:
            raise TakesLong
        if walk.is_over:
            return [_TOO_MUCH]
        return [
            Violation(pointer=_pointer(path), expected=expected, got=came)
            for path, expected, came in found
        ]

    def steps(self, payload: object) -> int:
        """Return how many steps a payload takes, up to the limit."""
        return self._walked(payload, MOST_STEPS)[0].steps

    def _walked(self, payload: object, most_steps: int) -> "tuple[_Walk, list[Found]]":
        walk = _Walk(nodes=self._nodes, most_steps=most_steps)
        found: list[Found] = []
        try:
            walk.check(0, payload, ROOT, found, 1)
        except (_TooMuchError, RecursionError):
            # Python's stack may be nearly full already: each level takes up to four frames.
            walk.is_over = True
        return walk, found


@dataclass(slots=True)
class _Walk:
    """One check of one payload."""

    nodes: Sequence[_Node]
    most_steps: int
    steps: int = field(default=0)
    is_over: bool = field(default=False)

    def check(self, number: int, value: object, path: Path, found: list[Found], depth: int) -> None:
        if len(found) >= MOST_IN_PAYLOAD:
            return
        self._spend(1)
        if depth > DEEPEST:
            raise _TooMuchError
        node = self.nodes[number]
        if not _is_of_its_kinds(node, value, path, found):
            return
        if weight := _weight(node, value):
            self._spend(weight)
        if not _is_one_of_its_values(node, value, path, found):
            return
        if isinstance(value, list):
            self._check_items(node, value, path, found, depth)
        elif isinstance(value, dict):
            self._check_fields(node, value, path, found, depth)
        self._check_whole(node, value, path, found, depth)

    def _spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > self.most_steps:
            raise _TooMuchError

    def _check_whole(
        self, node: _Node, value: object, path: Path, found: list[Found], depth: int
    ) -> None:
        for inner in node.all:
            self.check(inner, value, path, found, depth + 1)
        for union in node.unions:
            self._check_union(union, value, path, found, depth)
        for inner, words in node.nots:
            if not self._tried(inner, value, path, depth):
                _add(found, path, words, describe(value))

    def _check_items(
        self, node: _Node, value: list[object], path: Path, found: list[Found], depth: int
    ) -> None:
        first = len(node.prefix)
        for at, (inner, item) in enumerate(zip(node.prefix, value, strict=False)):
            self.check(inner, item, (at, path), found, depth + 1)
        if node.items is not None:
            for at in range(first, len(value)):
                self.check(node.items, value[at], (at, path), found, depth + 1)

    def _check_fields(
        self,
        node: _Node,
        value: dict[str, object],
        path: Path,
        found: list[Found],
        depth: int,
    ) -> None:
        for name, words in node.required:
            if name not in value:
                _add(found, (name, path), words, "nothing")
        for name, inner in node.properties:
            if name in value:
                self.check(inner, value[name], (name, path), found, depth + 1)
        if node.patterns or node.others is not None or node.names is not None:
            for name in sorted(value):
                self._check_name(node, value[name], (name, path), found, depth)

    def _check_name(
        self, node: _Node, value: object, path: Path, found: list[Found], depth: int
    ) -> None:
        name = str(path[0])
        self._spend(len(node.patterns) + len(name) * node.name_weight // _STATES)
        if node.names is not None:
            self.check(node.names, name, path, found, depth + 1)
        is_known = name in node.known
        for matches, inner in node.patterns:
            if matches(name):
                is_known = True
                self.check(inner, value, path, found, depth + 1)
        if is_known or node.others is None:
            return
        if node.others < 0:
            _add(found, path, node.others_words, "an unknown field")
        else:
            self.check(node.others, value, path, found, depth + 1)

    def _check_union(
        self, union: _Union, value: object, path: Path, found: list[Found], depth: int
    ) -> None:
        tried: list[list[Found]] = []
        fitting = 0
        for inner in union.of:
            tried.append(self._tried(inner, value, path, depth))
            fitting += not tried[-1]
            if fitting and not union.exactly:
                return
        if fitting == 1:
            return
        if fitting:
            _add(found, path, union.several_words, "one that fits several")
        elif union.tag is not None and isinstance(value, dict):
            _add_by_tag(union, tried, value, path, found)
        else:
            near = [n for n, inner in enumerate(union.of) if self._accepts(inner, value)]
            if len(near) == 1:
                _extend(found, tried[near[0]])
            else:
                _add(found, path, union.words, describe(value))

    def _tried(self, number: int, value: object, path: Path, depth: int) -> list[Found]:
        found: list[Found] = []
        self.check(number, value, path, found, depth + 1)
        return found

    def _accepts(self, number: int, value: object) -> bool:
        types = self.nodes[number].types
        return types is None or _kind(value) in types


def _is_of_its_kinds(node: _Node, value: object, path: Path, found: list[Found]) -> bool:
    if node.types is not None and _kind(value) not in node.types:
        _add(found, path, node.type_words, describe(value))
        return False
    return True


def _weight(node: _Node, value: object) -> int:
    """Return the additional steps for a text's expressions, compared values, and fields that are looked up."""
    match value:
        case str():
            return len(value) * node.text_weight // _STATES
        case list():
            times, more = (node.values is not None) + node.is_about_repeats, 0
        case dict():
            times, more = int(node.values is not None), node.field_weight
        case _:
            return 0
    return times * (size_of(value) // _PARTS) + more if times else more


def _is_one_of_its_values(node: _Node, value: object, path: Path, found: list[Found]) -> bool:
    """Check the node's rules for the value itself; False, and no check of its parts, if it is not in the enum."""
    kind = _kind(value)
    if node.values is not None and equality_key(value) not in node.values:
        _add(found, path, node.enum_words, describe(value))
        return False
    for rule in node.rules:
        if kind in rule.kinds and not rule.holds(value):
            _add(found, path, rule.words, _got_by(rule, value))
    return True


def _add_by_tag(
    union: _Union,
    tried: Sequence[list[Found]],
    value: dict[str, object],
    path: Path,
    found: list[Found],
) -> None:
    tag = union.tag or ""
    sent = value.get(tag)
    meant = union.by_tag.get(sent) if isinstance(sent, str) else None
    if meant is not None:
        _extend(found, tried[meant])
    else:
        _add(found, (tag, path), union.tag_words, describe(sent) if tag in value else "nothing")


def _add(found: list[Found], path: Path, expected: str, came: str) -> None:
    if len(found) < MOST_IN_PAYLOAD:
        found.append((path, expected, came))


def _extend(found: list[Found], more: Sequence[Found]) -> None:
    found.extend(more[: MOST_IN_PAYLOAD - len(found)])


def _pointer(path: Path) -> str:
    steps = []
    while path[1] is not None:
        steps.append(json_pointer((path[0],)))
        path = path[1]
    return "".join([str(path[0]), *reversed(steps)])


def _kind(value: object) -> str:
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    return _KINDS[type(value)]


def _got_by(rule: _Rule, value: Any) -> str:  # noqa: ANN401 - any JSON value
    if rule.is_about_repeats:
        return "a repeated item"
    if rule.counts_items:
        return f"{len(value)} item" if len(value) == 1 else f"{len(value)} items"
    return describe(value)


def _node(node: Mapping[str, Any]) -> _Node:
    types = node.get("types")
    rules, patterns = node.get("rules", ()), node.get("patterns", ())
    properties = [(name, number) for name, number in node.get("properties", ())]
    required = [(name, words) for name, words in node.get("required", ())]
    return _Node(
        types=None if types is None else frozenset(types),
        type_words=node.get("type_words", ""),
        values=frozenset(map(equality_key, node["enum"])) if "enum" in node else None,
        enum_words=node.get("enum_words", ""),
        rules=[_rule(*rule) for rule in rules],
        text_weight=node.get(
            "text_weight", _UNWEIGHED * _count(r[2] for r in rules if r[1] == "matches")
        ),
        is_about_repeats=any(rule[1] == "unique" for rule in rules),
        items=node.get("items"),
        prefix=node.get("prefix", ()),
        required=required,
        properties=properties,
        known=frozenset(name for name, _ in properties),
        field_weight=(len(required) + len(properties)) // _FIELDS,
        patterns=[(matcher(conditions), number) for conditions, number in patterns],
        name_weight=node.get("name_weight", _UNWEIGHED * _count(p[0] for p in patterns)),
        others=node.get("others"),
        others_words=node.get("others_words", ""),
        names=node.get("names"),
        all=node.get("all", ()),
        unions=[_union(union) for union in node.get("unions", ())],
        nots=[(number, words) for number, words in node.get("nots", ())],
    )


def _count(conditions: Iterable[Sequence[object]]) -> int:
    return sum(map(len, conditions))


def _union(union: Mapping[str, Any]) -> _Union:
    return _Union(
        exactly=union["exactly"],
        of=union["of"],
        words=union["words"],
        several_words=union.get("several_words", ""),
        tag=union.get("tag"),
        by_tag=union.get("by_tag", {}),
        tag_words=union.get("tag_words", ""),
    )


def _rule(kind: str, rule: str, argument: Any, words: str) -> _Rule:  # noqa: ANN401 - as the rule has it
    return _Rule(
        kinds=("integer", "number") if kind == "number" else (kind,),
        holds=RULES[rule](argument),
        words=words,
        counts_items=kind == "array",
        is_about_repeats=rule == "unique",
    )
