"""Single rules of a schema, and how values are compared: used by `checking.py` at each node."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from pydantic_core import SchemaValidator, core_schema

from taskmill.wire.contracts.exact import exact_number

Holds = Callable[[Any], bool]


def size_of(value: object) -> int:
    """Return the number of values: this one and all within it."""
    match value:
        case list():
            return 1 + sum(map(size_of, value))
        case dict():
            return 1 + sum(map(size_of, value.values()))
        case _:
            return 1


def equality_key(value: object) -> object:
    """Return a key that is equal for values that JSON Schema calls equal: for 1 and 1.0, not for 1 and true."""
    match value:
        case bool():
            return ("boolean", value)
        case list():
            return ("array", tuple(map(equality_key, value)))
        case dict():
            return ("object", frozenset((name, equality_key(v)) for name, v in value.items()))
        case _:
            return value


def _multiple_of(factor: float) -> Holds:
    # By their decimal digits: 0.3 is a multiple of 0.1, though the nearest doubles are not.
    exact = Fraction(str(factor))
    return lambda value: Fraction(str(exact_number(value))) % exact == 0


def matcher(conditions: Sequence[tuple[bool, str, str]]) -> Holds:
    """Return a function that checks whether a text matches all of these conditions."""
    validators = [
        (negated, SchemaValidator(core_schema.str_schema(pattern=rust)).isinstance_python)
        for negated, rust, _ in conditions
    ]
    return lambda value: all(matches(value) != negated for negated, matches in validators)


def _is_unique(value: Sequence[object]) -> bool:
    return len(set(map(equality_key, value))) == len(value)


RULES: Final[Mapping[str, Callable[[Any], Holds]]] = {
    "min": lambda bound: lambda value: value >= bound,
    "max": lambda bound: lambda value: value <= bound,
    "over": lambda bound: lambda value: value > bound,
    "under": lambda bound: lambda value: value < bound,
    "multiple": _multiple_of,
    "least": lambda size: lambda value: len(value) >= size,
    "most": lambda size: lambda value: len(value) <= size,
    "matches": matcher,
    "unique": lambda _: _is_unique,
}
