"""Reads the keywords of a schema into its node: one function for each, which raises `Unreadable`."""

import operator
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from taskmill.wire.contracts.comparing import equality_key, exact_number, is_unique, multiple_of
from taskmill.wire.contracts.nodes import Node, Rule, Union
from taskmill.wire.contracts.patterns import Pattern, UnsupportedPattern, read_pattern
from taskmill.wire.contracts.references import step
from taskmill.wire.contracts.words import KIND_WORDS, listed_values, one_of
from taskmill.wire.wording import counted, describe, plain

_MOST_VALUES: Final = 1_000
_DATE: Final = "[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9](?::(?:[0-5][0-9]|60)(?:\\.[0-9]{1,9})?)?"
_ZONE: Final = "(?:[Zz]|[+-][0-2][0-9]:?[0-5][0-9])?"
# Unlike the standard, a zone and seconds may be left out, as pydantic's dates and times accept that.
_FORMATS: Final = {
    "date": (f"^{_DATE}$", "a date such as 2030-01-31"),
    "time": (f"^{_CLOCK}{_ZONE}$", "a time such as 09:30:00Z"),
    "date-time": (
        f"^{_DATE}[Tt ]{_CLOCK}{_ZONE}$",
        "a date and time such as 2030-01-31T09:30:00Z",
    ),
    "uuid": ("^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$", "a UUID"),
}


Kind = TypeVar("Kind")


class Unreadable(Exception):
    """A keyword has a value that it may not have; the text says what is expected instead."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A keyword that is read: the node of its schema, its value and pointer.

    `compiled` returns the node of a schema at a pointer, `fault` adds what is wrong at one.
    """

    node: Node
    value: Any
    pointer: str
    compiled: Callable[[object, str], Node]
    fault: Callable[[str, str, str], None]

    def of(self, kind: type[Kind], expected: str) -> Kind:
        """Return its value if it is of a kind."""
        if not isinstance(self.value, kind):
            raise Unreadable(expected)
        return self.value

    def text(self) -> str:
        """Return its string."""
        return self.of(str, "a string")

    def number(self) -> float:
        """Return its number, as an integer if it is whole."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise Unreadable("a number")
        return exact_number(self.value)

    def schema_within(self) -> Node:
        """Return the node of its schema."""
        return self.compiled(self.value, self.pointer)

    def schemas(self) -> list[Node]:
        """Return the nodes of its array of schemas."""
        several = self.of(list, "an array of schemas")
        if not several:
            raise Unreadable("an array of schemas")
        return [self.compiled(one, f"{self.pointer}/{at}") for at, one in enumerate(several)]

    def schemas_by_name(self) -> dict[str, Node]:
        """Return the nodes of its object of schemas."""
        named = self.of(dict, "an object of schemas").items()
        return {name: self.compiled(one, self.pointer + step(name)) for name, one in named}


Reader: TypeAlias = Callable[[Reading], object]


def _type(at: Reading) -> None:
    kinds = at.value if isinstance(at.value, list) else [at.value]
    if not kinds or not all(isinstance(k, str) and k in KIND_WORDS for k in kinds):
        raise Unreadable(f"one or more of {', '.join(KIND_WORDS)}")
    at.node.types = frozenset((*kinds, "integer") if "number" in kinds else kinds)
    at.node.type_words = one_of([KIND_WORDS[kind] for kind in kinds])


def _enum(at: Reading) -> None:
    if not isinstance(at.value, list) or not 0 < len(at.value) <= _MOST_VALUES:
        raise Unreadable(f"an array of 1 to {_MOST_VALUES:,} values")
    _add_values(at, at.value)


def _const(at: Reading) -> None:
    _add_values(at, [at.value])


def _add_values(at: Reading, values: list[object]) -> None:
    if at.node.values is not None:
        raise Unreadable("either enum or const")
    at.node.values = {equality_key(value): value for value in values}
    at.node.value_words = listed_values(values)


def _format(at: Reading) -> None:
    if at.text() in _FORMATS:
        pattern, expected = _FORMATS[at.value]
        _add_pattern(at, read_pattern(pattern), expected)


def _pattern(at: Reading) -> None:
    expected = f"a string that matches {plain(at.text())}"
    _add_pattern(at, _read_pattern(at, at.value, at.pointer), expected)


def _add_pattern(at: Reading, pattern: Pattern, expected: str) -> None:
    at.node.text_weight += pattern.weight
    at.node.rules.append(Rule(("string",), pattern.matches, expected))


def _read_pattern(at: Reading, pattern: str, pointer: str) -> Pattern:
    try:
        return read_pattern(pattern)
    except UnsupportedPattern as error:
        expected = "a regular expression that can be checked: see docs/how-to/contracts.md"
        at.fault(pointer, expected, plain(str(error)))
        return read_pattern("")


def _unique(at: Reading) -> None:
    if at.of(bool, "true or false"):
        at.node.has_unique_items = True
        expected = "an array without repeated items"
        at.node.rules.append(Rule(("array",), is_unique, expected, lambda _: "a repeated item"))


def _required(at: Reading) -> None:
    if not isinstance(at.value, list) or not all(isinstance(name, str) for name in at.value):
        raise Unreadable("an array of names")
    at.node.required = dict.fromkeys(at.value, "")


def _patterns(at: Reading) -> None:
    for text, node in at.schemas_by_name().items():
        pattern = _read_pattern(at, text, at.pointer + step(text))
        at.node.name_weight += pattern.weight
        at.node.patterns.append((pattern.matches, node))


def _secret(at: Reading) -> None:
    at.node.is_secret = at.of(bool, "true or false")


def _others(at: Reading) -> None:
    if at.value is False:
        at.node.closed_words = "no such field"
    elif at.value is not True and at.value != {}:
        at.node.others = at.schema_within()


def _items(at: Reading) -> None:
    if isinstance(at.value, list):
        raise Unreadable("a schema (an array of them is prefixItems in draft 2020-12)")
    at.node.items = at.schema_within()


def _all(at: Reading) -> None:
    at.node.all += at.schemas()


def _ref(at: Reading) -> None:
    # Only beside other keywords; alone it has no node of its own.
    at.node.all.append(at.compiled({"$ref": at.value}, at.pointer))


def _any(at: Reading) -> None:
    at.node.unions.append(Union(at.schemas(), is_exactly_one=False))


def _one(at: Reading) -> None:
    at.node.unions.append(Union(at.schemas(), is_exactly_one=True))


def _head(at: Reading) -> None:
    """Read a keyword that only the whole schema may have: below it would change what references mean."""
    if at.pointer.count("/") > 1:
        raise Unreadable("nothing here: only the whole schema has one")
    at.text()


def _discriminator(at: Reading) -> None:
    value = at.value if isinstance(at.value, dict) else {}
    mapping = value.get("mapping", {})
    is_one = isinstance(value.get("propertyName"), str) and isinstance(mapping, dict)
    if not is_one or not all(isinstance(target, str) for target in mapping.values()):
        raise Unreadable("an object with propertyName and, if need be, a mapping to schemas")


def _stored(attribute: str, read: Callable[[Reading], object]) -> Reader:
    """Return the reader of a keyword whose schemas the node has as they are."""
    return lambda at: setattr(at.node, attribute, read(at))


def _annotation(kind: type, expected: str) -> Reader:
    return lambda at: at.of(kind, expected)


def _bound(holds: Callable[[float, Any], bool], expected: str) -> Reader:
    """Return the reader of a keyword that compares its number, the first argument, with the value."""

    def read(at: Reading) -> None:
        bound = at.number()
        at.node.rules.append(Rule(_NUMBERS, partial(holds, bound), expected.format(bound)))

    return read


def _multiple(at: Reading) -> None:
    factor = at.number()
    if factor <= 0:
        raise Unreadable("a number over 0")
    at.node.rules.append(Rule(_NUMBERS, multiple_of(factor), f"a multiple of {factor}"))


def _size(kind: str, holds: Callable[[int, int], bool], expected: str, noun: str) -> Reader:
    """Return the reader of a keyword that compares its number, the first argument, with the value's length."""

    def got(value: Sized) -> str:
        return counted(len(value), "item") if kind == "array" else describe(value)

    def read(at: Reading) -> None:
        size = at.number()
        if not isinstance(size, int) or size < 0:
            raise Unreadable("a whole number, not negative")
        words = f"{expected} {counted(size, noun)}"
        at.node.rules.append(Rule((kind,), lambda value: holds(size, len(value)), words, got))

    return read


_NUMBERS: Final = ("integer", "number")
_TEXTS: Final = ("title", "description", "$comment", "contentMediaType", "contentEncoding")

ANNOTATIONS: Final[Mapping[str, Reader]] = {
    **dict.fromkeys(_TEXTS, Reading.text),
    **dict.fromkeys(("default", "example"), _annotation(object, "a value")),
    **dict.fromkeys(("deprecated", "readOnly"), _annotation(bool, "true or false")),
    "examples": _annotation(list, "an array"),
    "discriminator": _discriminator,
    "contentSchema": Reading.schema_within,
    # Those without references, too, since documents show them.
    "$defs": Reading.schemas_by_name,
    "definitions": Reading.schemas_by_name,
    "$schema": _head,
    "$id": _head,
}
"""Keywords that do not restrict values. Beside a reference they mean nothing."""

READERS: Final[Mapping[str, Reader]] = {
    **ANNOTATIONS,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "minimum": _bound(operator.le, "a number of at least {}"),
    "maximum": _bound(operator.ge, "a number of at most {}"),
    "exclusiveMinimum": _bound(operator.lt, "a number over {}"),
    "exclusiveMaximum": _bound(operator.gt, "a number under {}"),
    "multipleOf": _multiple,
    "minLength": _size("string", operator.le, "a string of at least", "character"),
    "maxLength": _size("string", operator.ge, "a string of at most", "character"),
    "pattern": _pattern,
    "format": _format,
    "minItems": _size("array", operator.le, "an array of at least", "item"),
    "maxItems": _size("array", operator.ge, "an array of at most", "item"),
    "uniqueItems": _unique,
    "minProperties": _size("object", operator.le, "an object of at least", "field"),
    "maxProperties": _size("object", operator.ge, "an object of at most", "field"),
    "required": _required,
    "properties": _stored("properties", Reading.schemas_by_name),
    "patternProperties": _patterns,
    "additionalProperties": _others,
    "propertyNames": _stored("names", Reading.schema_within),
    "items": _items,
    "prefixItems": _stored("prefix", Reading.schemas),
    "allOf": _all,
    "anyOf": _any,
    "oneOf": _one,
    "not": _stored("excluded", Reading.schema_within),
    "$ref": _ref,
    # It restricts nothing either, but means as much beside a reference.
    "writeOnly": _secret,
}
"""Every keyword that is allowed; any other is refused."""
