"""Finds a text in names regardless of case, by Unicode's case folding and not by a language's rules.

The definition is Python's: `needle.casefold() in name.casefold()`. A database in the locale C folds a to z only,
and one in another locale folds by its rules; so the characters that may stand for each other are spelled out.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

_BLOCK: Final = 0x100
# What comes after has no case: ideographs, tags, selectors and characters for private use.
_END: Final = 0x20000
_SPECIAL: Final = re.compile(r"[!-/:-@\[-`{-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamePattern:
    """How to find a text: replace each of `expanded` by what it folds to, then search for the regular expression.

    In a name of ASCII alone it is enough to search the lower case name for `folded`.

    The expression is in PostgreSQL's syntax, of plain characters and sets of them. Those that fold to several are
    replaced first, because alternatives of several lengths make an expression grow beyond bounds ("ssss").
    """

    folded: str
    expression: str
    expanded: Mapping[str, str]


def name_pattern(needle: str) -> NamePattern:
    """Return how to find `needle`."""
    folded = needle.casefold()
    return NamePattern(
        folded=folded,
        expression="".join(map(_one_of, folded)),
        expanded={one: to for one, to in _foldings().expanding.items() if _may_share(to, folded)},
    )


def _one_of(folded: str) -> str:
    """Return an expression for each character that folds to this one."""
    others = _foldings().equals.get(folded)
    if others:
        return f"[{folded}{others}]"
    return f"\\{folded}" if _SPECIAL.match(folded) else folded


def _may_share(expansion: str, text: str) -> bool:
    """Return whether an occurrence of the text may overlap with this expansion."""
    return (
        expansion in text
        or text in expansion
        or any(
            text.startswith(expansion[cut:]) or text.endswith(expansion[:cut])
            for cut in range(1, len(expansion))
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Foldings:
    """Characters that fold to another one, by that one; and those that fold to several, with these."""

    equals: Mapping[str, str]
    expanding: Mapping[str, str]


@cache
def _foldings() -> _Foldings:
    """Read Unicode's case folding, once: that takes 10 ms. Most blocks have nothing that folds."""
    equals: dict[str, str] = defaultdict(str)
    expanding: dict[str, str] = {}
    for start in range(0, _END, _BLOCK):
        block = "".join(map(chr, range(start, start + _BLOCK)))
        if block.casefold() == block:
            continue
        for one in block:
            to = one.casefold()
            if len(to) > 1:
                expanding[one] = to
            elif to != one:
                equals[to] += one
    return _Foldings(equals=equals, expanding=expanding)
