"""Reads the keywords of a schema into a node of its normal form: one function for each.

Each returns what it expected instead of the value, None when the value is valid.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from taskmill.wire.contracts import words
from taskmill.wire.contracts.exact import exact_number
from taskmill.wire.contracts.patterns import UnsupportedPattern, conditions_of
from taskmill.wire.contracts.references import Schema, step
from taskmill.wire.wording import plain

Node: TypeAlias = dict[str, Any]

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
_SCHEMAS: Final = "an array of schemas"
_SCHEMAS_BY_NAME: Final = "an object of schemas"


class Compiler(Protocol):
    """The functions that a keyword's reader uses."""

    def node(self, schema: object, pointer: str) -> int:
        """Return the number of a schema's node."""
        ...

    def fault(self, pointer: str, expected: str, came: str) -> None:
        """Add a fault of the schema."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A keyword that is read: its value, its pointer, and the schema around it."""

    compiler: Compiler
    node: Node
    schema: Schema
    value: Any
    pointer: str


Reader: TypeAlias = Callable[[Reading], str | None]


def _type(at: Reading) -> str | None:
    kinds = at.value if isinstance(at.value, list) else [at.value]
    if not kinds or not all(isinstance(k, str) and k in words.KIND_WORDS for k in kinds):
        return f"one or more of {', '.join(words.KIND_WORDS)}"
    at.node["types"] = sorted({*kinds, *(("integer",) if "number" in kinds else ())})
    at.node["type_words"] = words.one_of([words.KIND_WORDS[kind] for kind in kinds])
    return None


def _enum(at: Reading) -> str | None:
    if not isinstance(at.value, list) or not 0 < len(at.value) <= _MOST_VALUES:
        return f"an array of 1 to {_MOST_VALUES:,} values"
    return _values(at, at.value)


def _const(at: Reading) -> str | None:
    return _values(at, [at.value])


def _values(at: Reading, values: list[object]) -> str | None:
    if "enum" in at.node:
        return "either enum or const"
    at.node["enum"] = [_exact(value) for value in values]
    at.node["enum_words"] = words.listed_values(at.node["enum"])
    return None


def _format(at: Reading) -> str | None:
    if not isinstance(at.value, str):
        return "a string"
    if at.value in _FORMATS:
        pattern, expected = _FORMATS[at.value]
        _add_rule(at, "string", "matches", _conditions(at, pattern, "text_weight"), expected)
    return None


def _pattern(at: Reading) -> str | None:
    if not isinstance(at.value, str):
        return "a string"
    conditions = _read_pattern(at, at.value, at.pointer, "text_weight")
    expected = f"a string that matches {plain(at.value)}"
    _add_rule(at, "string", "matches", conditions, expected)
    return None


def _read_pattern(at: Reading, pattern: str, pointer: str, weight: str) -> list[list[object]]:
    try:
        return _conditions(at, pattern, weight)
    except UnsupportedPattern as error:
        expected = "a regular expression that can be checked: see docs/how-to/contracts.md"
        at.compiler.fault(pointer, expected, plain(str(error)))
        return []


def _unique(at: Reading) -> str | None:
    if not isinstance(at.value, bool):
        return "true or false"
    if at.value:
        _add_rule(at, "array", "unique", None, "an array without repeated items")
    return None


def _required(at: Reading) -> str | None:
    if not isinstance(at.value, list) or not all(isinstance(name, str) for name in at.value):
        return "an array of names"
    at.node["required"] = [[name, None] for name in dict.fromkeys(at.value)]
    return None


def _properties(at: Reading) -> str | None:
    if not isinstance(at.value, dict):
        return _SCHEMAS_BY_NAME
    at.node["properties"] = [
        [name, at.compiler.node(schema, at.pointer + step(name))]
        for name, schema in at.value.items()
    ]
    return None


def _patterns(at: Reading) -> str | None:
    if not isinstance(at.value, dict):
        return _SCHEMAS_BY_NAME
    pointers = {pattern: at.pointer + step(pattern) for pattern in at.value}
    at.node["patterns"] = [
        [
            _read_pattern(at, pattern, pointer, "name_weight"),
            at.compiler.node(at.value[pattern], pointer),
        ]
        for pattern, pointer in pointers.items()
    ]
    return None


def _others(at: Reading) -> str | None:
    if at.value is False:
        properties = at.schema.get("properties")
        names = list(properties) if isinstance(properties, dict) else []
        at.node["others"] = -1
        at.node["others_words"] = words.known_fields(names)
    elif at.value is not True and at.value != {}:
        at.node["others"] = at.compiler.node(at.value, at.pointer)
    return None


def _names(at: Reading) -> str | None:
    at.node["names"] = at.compiler.node(at.value, at.pointer)
    return None


def _items(at: Reading) -> str | None:
    if isinstance(at.value, list):
        return "a schema (an array of them is prefixItems in draft 2020-12)"
    at.node["items"] = at.compiler.node(at.value, at.pointer)
    return None


def _prefix(at: Reading) -> str | None:
    if not _is_list(at.value):
        return _SCHEMAS
    at.node["prefix"] = _nodes(at)
    return None


def _all(at: Reading) -> str | None:
    if not _is_list(at.value):
        return _SCHEMAS
    at.node.setdefault("all", []).extend(_nodes(at))
    return None


def _ref(at: Reading) -> str | None:
    # Only beside other keywords; alone it has no node of its own.
    number = at.compiler.node({"$ref": at.value}, at.pointer)
    at.node.setdefault("all", []).append(number)
    return None


def _not(at: Reading) -> str | None:
    number = at.compiler.node(at.value, at.pointer)
    at.node["nots"] = [[number, "a value that does not fit what `not` says"]]
    return None


def _any(at: Reading) -> str | None:
    return _union(at, exactly=False)


def _one(at: Reading) -> str | None:
    return _union(at, exactly=True)


def _union(at: Reading, *, exactly: bool) -> str | None:
    if not _is_list(at.value):
        return _SCHEMAS
    at.node.setdefault("unions", []).append({"exactly": exactly, "of": _nodes(at)})
    return None


def _defined(at: Reading) -> str | None:
    """Read definitions, also those without references, since documents show them."""
    if not isinstance(at.value, dict):
        return _SCHEMAS_BY_NAME
    for name, schema in at.value.items():
        at.compiler.node(schema, at.pointer + step(name))
    return None


def _content(at: Reading) -> str | None:
    at.compiler.node(at.value, at.pointer)
    return None


def _head(at: Reading) -> str | None:
    """Read a keyword that only the whole schema may have: below it would change what references mean."""
    if at.pointer.count("/") > 1:
        return "nothing here: only the whole schema has one"
    return None if isinstance(at.value, str) else "a string"


def _discriminator(at: Reading) -> str | None:
    value = at.value if isinstance(at.value, dict) else {}
    mapping = value.get("mapping", {})
    is_one = isinstance(value.get("propertyName"), str) and isinstance(mapping, dict)
    if is_one and all(isinstance(target, str) for target in mapping.values()):
        return None
    return "an object with propertyName and, if need be, a mapping to schemas"


def _annotation(kind: type | None, expected: str = "") -> Reader:
    def read(at: Reading) -> str | None:
        return None if kind is None or isinstance(at.value, kind) else expected

    return read


def _is_list(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _nodes(at: Reading) -> list[int]:
    return [at.compiler.node(schema, f"{at.pointer}/{n}") for n, schema in enumerate(at.value)]


def _conditions(at: Reading, pattern: str, weight: str) -> list[list[object]]:
    """Return the conditions of an expression, and add their cost to the node's `weight`."""
    read = conditions_of(pattern)
    at.node[weight] = at.node.get(weight, 0) + sum(one.weight for one in read)
    return [[one.negated, one.rust, one.postgres] for one in read]


def _add_rule(at: Reading, kind: str, rule: str, argument: object, expected: str) -> None:
    at.node.setdefault("rules", []).append([kind, rule, argument, expected])


def _exact(value: object) -> object:
    """Return the value with whole numbers as integers, where PostgreSQL and Python agree on all digits."""
    match value:
        case float():
            return exact_number(value)
        case dict():
            return {key: _exact(member) for key, member in value.items()}
        case list():
            return [_exact(item) for item in value]
        case _:
            return value


def _bound(rule: str, expected: str) -> Reader:
    def read(at: Reading) -> str | None:
        if not isinstance(at.value, int | float) or isinstance(at.value, bool):
            return "a number"
        if rule == "multiple" and at.value <= 0:
            return "a number over 0"
        bound = _exact(at.value)
        _add_rule(at, "number", rule, bound, expected.format(bound))
        return None

    return read


def _size(kind: str, rule: str, expected: str, noun: str) -> Reader:
    def read(at: Reading) -> str | None:
        size = _exact(at.value)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            return "a whole number, not negative"
        _add_rule(at, kind, rule, size, expected.format(words.counted(size, noun)))
        return None

    return read


_TEXT: Final = _annotation(str, "a string")
_FLAG: Final = _annotation(bool, "true or false")
_ANYTHING: Final = _annotation(None)

ANNOTATIONS: Final[Mapping[str, Reader]] = {
    "title": _TEXT,
    "description": _TEXT,
    "$comment": _TEXT,
    "contentMediaType": _TEXT,
    "contentEncoding": _TEXT,
    "default": _ANYTHING,
    "example": _ANYTHING,
    "examples": _annotation(list, "an array"),
    "deprecated": _FLAG,
    "readOnly": _FLAG,
    "writeOnly": _FLAG,
    "discriminator": _discriminator,
    "contentSchema": _content,
    "$defs": _defined,
    "definitions": _defined,
    "$schema": _head,
    "$id": _head,
}
"""Keywords that do not restrict values."""

READERS: Final[Mapping[str, Reader]] = {
    **ANNOTATIONS,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "minimum": _bound("min", "a number of at least {}"),
    "maximum": _bound("max", "a number of at most {}"),
    "exclusiveMinimum": _bound("over", "a number over {}"),
    "exclusiveMaximum": _bound("under", "a number under {}"),
    "multipleOf": _bound("multiple", "a multiple of {}"),
    "minLength": _size("string", "least", "a string of at least {}", "character"),
    "maxLength": _size("string", "most", "a string of at most {}", "character"),
    "pattern": _pattern,
    "format": _format,
    "minItems": _size("array", "least", "an array of at least {}", "item"),
    "maxItems": _size("array", "most", "an array of at most {}", "item"),
    "uniqueItems": _unique,
    "minProperties": _size("object", "least", "an object of at least {}", "field"),
    "maxProperties": _size("object", "most", "an object of at most {}", "field"),
    "required": _required,
    "properties": _properties,
    "patternProperties": _patterns,
    "additionalProperties": _others,
    "propertyNames": _names,
    "items": _items,
    "prefixItems": _prefix,
    "allOf": _all,
    "anyOf": _any,
    "oneOf": _one,
    "not": _not,
    "$ref": _ref,
}
"""Every keyword that is allowed; any other is refused."""
