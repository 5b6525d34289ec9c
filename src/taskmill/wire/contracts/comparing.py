"""Compares values as JSON Schema does."""

from collections.abc import Callable, Sequence
from fractions import Fraction


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


def is_unique(items: Sequence[object]) -> bool:
    """Return whether no item comes twice."""
    return len(set(map(equality_key, items))) == len(items)


def exact_number(value: float) -> float:
    """Return a whole number of up to 64 bits as an integer, with all its digits: a double shows 17 at most."""
    return int(value) if abs(value) < 2**63 and value == int(value) else value


def multiple_of(factor: float) -> Callable[[float], bool]:
    """Return a function that finds multiples by their decimal digits: 0.3 is one of 0.1, though not as doubles."""
    exact = Fraction(str(factor))
    return lambda value: Fraction(str(exact_number(value))) % exact == 0
