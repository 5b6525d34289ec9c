"""Finds where two JSON values differ, by pointer; bounded, however large they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final, TypeVar

Key = TypeVar("Key", str, int)

MOST: Final = 100
"""How many differences are found."""

_DEEPEST: Final = 80


class Presence(StrEnum):
    """How a place differs: only the one has something there, only the other, or they have different values."""

    ONLY_HERE = "only_here"
    ONLY_THERE = "only_there"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A place where the values differ, as a JSON pointer, and what the two have there; None also for nothing."""

    pointer: str
    presence: Presence
    here: object = None
    there: object = None


def differences(here: object, there: object) -> list[Difference]:
    """Return where `here` differs from `there`: `MOST` places, and one more if there are more."""
    return list(islice(_differences(here, there, "", 0), MOST + 1))


def _differences(here: object, there: object, pointer: str, depth: int) -> Iterator[Difference]:
    match here, there:
        case dict(), dict() if depth < _DEEPEST:
            for key in [*here, *(key for key in there if key not in here)]:
                yield from _at(here, there, key, f"{pointer}/{_escaped(key)}", depth)
        case list(), list() if depth < _DEEPEST:
            ours, theirs = dict(enumerate(here)), dict(enumerate(there))
            for index in range(max(len(here), len(there))):
                yield from _at(ours, theirs, index, f"{pointer}/{index}", depth)
        case _ if type(here) is not type(there) or here != there:
            yield Difference(pointer=pointer, presence=Presence.OTHER, here=here, there=there)


def _at(
    here: Mapping[Key, object],
    there: Mapping[Key, object],
    key: Key,
    pointer: str,
    depth: int,
) -> Iterator[Difference]:
    if key not in there:
        yield Difference(pointer=pointer, presence=Presence.ONLY_HERE, here=here[key])
    elif key not in here:
        yield Difference(pointer=pointer, presence=Presence.ONLY_THERE, there=there[key])
    else:
        yield from _differences(here[key], there[key], pointer, depth + 1)


def _escaped(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
