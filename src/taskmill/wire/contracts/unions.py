"""Alternatives (`anyOf`, `oneOf`): the error when none fits, prepared when the schema is compiled.

For a value that fits no alternative the errors are those of the alternative that was meant, if that can be known:
the only one that accepts values of its kind, or the one whose tag it has. A tag is a field that all alternatives
for objects require, with texts that each belong to one of them.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from taskmill.wire.contracts import words
from taskmill.wire.contracts.nodes import Node, Union

_DEEPEST: Final = 2
_OBJECTS: Final = frozenset({"object"})
_MOST_NAMED: Final = 8


def complete_words(nodes: Iterable[Node]) -> None:
    """Write the words that need other nodes: they are known once all are read."""
    for node in nodes:
        if node.closed_words and node.properties:
            node.closed_words = words.known_fields(list(node.properties))
        for union in node.unions:
            _complete(union)
        for name in node.required:
            node.required[name] = _summary(node.properties.get(name, _ANY))


_ANY: Final = Node()


def _complete(union: Union) -> None:
    union.words = _alternatives(union.of)
    objects = [(at, node) for at, node in enumerate(union.of) if node.accepts("object")]
    if len(objects) < 2 or any(node.types != _OBJECTS for _, node in objects):  # noqa: PLR2004 - a choice
        return
    for name in objects[0][1].required:
        by_tag = _by_tag(objects, name)
        if by_tag:
            union.tag, union.by_tag, union.tag_words = name, by_tag, words.listed_values(by_tag)
            return


def _by_tag(objects: Iterable[tuple[int, Node]], name: str) -> dict[str, int]:
    """Return the alternative of each text that the field may have; empty when it is no tag."""
    by_tag: dict[str, int] = {}
    for at, node in objects:
        values = node.properties.get(name, _ANY).values if name in node.required else None
        texts = [value for value in values or () if isinstance(value, str)]
        if not texts or len(texts) < len(values or ()) or not by_tag.keys().isdisjoint(texts):
            return {}
        by_tag.update(dict.fromkeys(texts, at))
    return by_tag


def _summary(node: Node, depth: int = 0) -> str:
    """Describe in a few words what fits a node."""
    if node.value_words or node.type_words:
        return node.value_words or node.type_words
    if node.unions and depth < _DEEPEST:
        return _alternatives(node.unions[0].of, depth + 1)
    return "a value"


def _alternatives(nodes: Sequence[Node], depth: int = 0) -> str:
    named = [_summary(node, depth) for node in nodes[:_MOST_NAMED]]
    return words.one_of([*named, "…"] if len(nodes) > _MOST_NAMED else named)
