"""A compiled schema: nodes that refer to each other. `compiling.py` makes them, `checking.py` walks them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from taskmill.wire.wording import describe

Holds = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """A test of a value of some kinds, without its parts; `got` describes a value that fails it."""

    kinds: tuple[str, ...]
    holds: Holds
    words: str
    got: Callable[[Any], str] = describe


@dataclass(slots=True, eq=False)
class Union:
    """Alternatives: `anyOf`; with `is_exactly_one`, `oneOf`.

    `words` says what is expected when it is unknown which alternative was meant. `by_tag` has the alternative (an
    index in `of`) of each text of the field `tag`, and `tag_words` says what is expected there.
    """

    of: list["Node"]
    is_exactly_one: bool
    words: str = ""
    tag: str | None = None
    by_tag: Mapping[str, int] = field(default_factory=dict)
    tag_words: str = ""


@dataclass(slots=True, eq=False)
class Node:
    """What a schema says about a value, in the order in which it is checked, with the texts for errors.

    `types` are the kinds that a value may have (`number` comes with `integer`), `values` those of an enumeration,
    by their keys for comparing. `required` says what is expected in each field that may not be left out. Fields
    that neither `properties` nor `patterns` name have to fit `others`; with `closed_words` there may be none. A
    weight is how many states the expressions for a text, or for the name of a field, have all together. With
    `is_secret` the value is marked `writeOnly`.
    """

    types: frozenset[str] | None = None
    type_words: str = ""
    text_weight: int = 0
    has_unique_items: bool = False
    values: dict[object, object] | None = None
    value_words: str = ""
    rules: list[Rule] = field(default_factory=list)
    prefix: list["Node"] = field(default_factory=list)
    items: "Node | None" = None
    required: dict[str, str] = field(default_factory=dict)
    properties: dict[str, "Node"] = field(default_factory=dict)
    names: "Node | None" = None
    patterns: list[tuple[Holds, "Node"]] = field(default_factory=list)
    name_weight: int = 0
    others: "Node | None" = None
    closed_words: str = ""
    all: list["Node"] = field(default_factory=list)
    unions: list[Union] = field(default_factory=list)
    excluded: "Node | None" = None
    is_secret: bool = False

    def accepts(self, kind: str) -> bool:
        """Return whether a value may be of this kind."""
        return self.types is None or kind in self.types

    def of_same_value(self) -> Iterable["Node"]:
        """Return the nodes that check the same value, too."""
        yield from self.all
        for union in self.unions:
            yield from union.of
        if self.excluded is not None:
            yield self.excluded
