"""Alternatives (`anyOf`, `oneOf`): the error when none fits, prepared when the schema is compiled.

For a value that fits no alternative the errors are those of the alternative that was meant, if that can be known:
the only one that accepts values of its kind, or the one whose tag it has. A tag is a field that all alternatives
for objects require, with texts that each belong to one of them.

    exactly        whether exactly one has to fit (`oneOf`)
    of             the nodes
    words          what is expected, when it is unknown which of them was meant
    tag, by_tag    the tag, and the alternative (an index in `of`) of each of its texts
    tag_words      what is expected instead of another text
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from taskmill.wire.contracts import words

Node: TypeAlias = dict[str, Any]

_FALLBACK: Final = "a value"
_DEEPEST: Final = 2
_MOST_NAMED: Final = 8


def finish_unions(nodes: list[Node]) -> None:
    """Complete all unions, and the texts for missing fields."""
    for node in nodes:
        for union in node.get("unions", ()):
            _finish(nodes, union)
        for field in node.get("required", ()):
            field[1] = _FALLBACK if field[1] is None else summary(nodes, field[1])


def summary(nodes: list[Node], number: int, depth: int = 0) -> str:
    """Describe in a few words what fits a node."""
    node = nodes[number]
    if "enum_words" in node:
        return str(node["enum_words"])
    if "type_words" in node:
        return str(node["type_words"])
    if "unions" in node and depth < _DEEPEST:
        return _alternatives(nodes, node["unions"][0]["of"], depth + 1)
    return _FALLBACK


def _alternatives(nodes: list[Node], numbers: list[int], depth: int = 0) -> str:
    named = [summary(nodes, number, depth) for number in numbers[:_MOST_NAMED]]
    return words.one_of([*named, "…"] if len(numbers) > _MOST_NAMED else named)


def _finish(nodes: list[Node], union: Node) -> None:
    union["words"] = _alternatives(nodes, union["of"])
    if union["exactly"]:
        union["several_words"] = "a value that fits exactly one of the alternatives"
    found = _tag(nodes, union["of"])
    if found is not None:
        union["tag"], union["by_tag"] = found
        union["tag_words"] = words.listed_values(list(found[1]))


def _tag(nodes: list[Node], numbers: list[int]) -> tuple[str, dict[str, int]] | None:
    objects = [
        (at, nodes[number]) for at, number in enumerate(numbers) if _accepts_objects(nodes[number])
    ]
    if len(objects) < 2 or any(node.get("types") != ["object"] for _, node in objects):  # noqa: PLR2004 - a choice
        return None
    for name in (field[0] for field in objects[0][1].get("required", ())):
        by_tag: dict[str, int] = {}
        for at, node in objects:
            texts = list(_texts(nodes, node, name))
            if not texts or not by_tag.keys().isdisjoint(texts):
                break
            by_tag.update(dict.fromkeys(texts, at))
        else:
            return name, by_tag
    return None


def _accepts_objects(node: Node) -> bool:
    return "object" in node.get("types", ("object",))


def _texts(nodes: list[Node], node: Node, name: str) -> Iterator[str]:
    """Yield the texts that a required field may have; nothing if it may have other values."""
    if name not in (field[0] for field in node.get("required", ())):
        return
    number = dict(node.get("properties", ())).get(name)
    values = [] if number is None else nodes[number].get("enum", [])
    if all(isinstance(value, str) for value in values):
        yield from values
