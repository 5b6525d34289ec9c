"""The parts of a payload that a contract marks as secret (`writeOnly`), and hiding them. Not: who may see them."""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Any, Final, TypeAlias

from taskmill.domain.errors import InvalidInput, MalformedJson
from taskmill.wire.contracts.nodes import Node
from taskmill.wire.strict_json import compact, parse

MASK: Final = "[masked]"
"""What readers see in the place of a secret value. Programs may rely on it."""

WHOLLY_MASKED: Final = f'{{"masked":"{MASK}"}}'
"""A payload that is secret as a whole: it has to be an object."""

MARK: Final = '"writeOnly"'
"""What every schema has, as it is stored, that marks something as secret."""

MOST_STEPS: Final = 1_000_000
"""Hiding what is secret stops after so many steps, and hides all: a second, beside the event loop."""

_Nodes: TypeAlias = frozenset[Node]
_NONE: Final[_Nodes] = frozenset()
_LEFT_OUT: Final = object()


class _TooMuchError(Exception):
    """It needs more steps than allowed."""


class _Steps:
    """Counts the steps of one payload."""

    def __init__(self, most: float = MOST_STEPS) -> None:
        self._left = most

    def spend(self, nodes: _Nodes) -> None:
        self._left -= _steps_of(nodes)
        if self._left < 0:
            raise _TooMuchError


class SecretFields:
    """What is secret in payloads of one type.

    A value is secret if any schema that may check it says so: of alternatives, one is enough.
    """

    def __init__(self, root: Node) -> None:
        self._leading = _leading_to_secrets(root)
        self._same: dict[Node, _Nodes] = {}
        self._root = self._narrowed([root])
        self._width = max((_steps_of(self._of_same_value(one)) for one in self._leading), default=1)

    def __bool__(self) -> bool:
        """Whether anything can be secret."""
        return bool(self._root)

    def masked(self, payload: str) -> str:
        """Return a payload with `MASK` in the place of each secret value."""
        return self._rewritten(payload, MASK)

    def left_out(self, payload: str) -> str:
        """Return a payload without its secret fields and items."""
        return self._rewritten(payload, _LEFT_OUT)

    def cost(self, payload: str) -> int:
        """Return how long hiding takes at most, about: as reading so many bytes."""
        return len(payload) * self._width

    def depth(self, steps: Sequence[str | int]) -> int | None:
        """Return how many of the steps lead to the secret value that a path goes to, or through; None without."""
        nodes, spent = self._root, _Steps(inf)
        for depth, step in enumerate(steps):
            if _is_secret(nodes):
                return depth
            nodes = (
                self._item_nodes(nodes, step, spent)
                if isinstance(step, int)
                else self._field_nodes(nodes, step, spent)
            )
        return len(steps) if _is_secret(nodes) else None

    def _rewritten(self, payload: str, replacement: object) -> str:
        try:
            value = parse(payload.encode())
        except (MalformedJson, InvalidInput):
            return WHOLLY_MASKED  # a payload that SQL created may have what no entry point accepts
        try:
            rewritten = self._rewrite(value, self._root, replacement, _Steps())
        except _TooMuchError:
            return WHOLLY_MASKED
        return compact(rewritten) if isinstance(rewritten, dict) else WHOLLY_MASKED

    def _rewrite(self, value: Any, nodes: _Nodes, replacement: object, steps: _Steps) -> Any:  # noqa: ANN401 - any JSON value
        if not nodes:
            return value
        if _is_secret(nodes):
            return replacement
        if isinstance(value, dict):
            members = (
                (
                    name,
                    self._rewrite(one, self._field_nodes(nodes, name, steps), replacement, steps),
                )
                for name, one in value.items()
            )
            return {name: one for name, one in members if one is not _LEFT_OUT}
        if isinstance(value, list):
            items = (
                self._rewrite(one, self._item_nodes(nodes, at, steps), replacement, steps)
                for at, one in enumerate(value)
            )
            return [one for one in items if one is not _LEFT_OUT]
        return value

    def _field_nodes(self, nodes: _Nodes, name: str, steps: _Steps) -> _Nodes:
        steps.spend(nodes)
        return self._narrowed(inner for node in nodes for inner in _of_field(node, name))

    def _item_nodes(self, nodes: _Nodes, at: int, steps: _Steps) -> _Nodes:
        steps.spend(nodes)
        return self._narrowed(
            node.prefix[at] if at < len(node.prefix) else node.items
            for node in nodes
            if at < len(node.prefix) or node.items is not None
        )

    def _narrowed(self, nodes: Iterable[Node | None]) -> _Nodes:
        """Return the nodes, and those for the same value, that lead to something secret."""
        return _NONE.union(*(self._of_same_value(one) for one in nodes if one in self._leading))

    def _of_same_value(self, node: Node) -> _Nodes:
        found = self._same.get(node)
        if found is None:
            within = (one for one in node.of_same_value() if one in self._leading)
            found = frozenset((node,)).union(*map(self._of_same_value, within))
            self._same[node] = found
        return found


def _steps_of(nodes: _Nodes) -> int:
    return sum(1 + len(node.patterns) for node in nodes)


def _is_secret(nodes: _Nodes) -> bool:
    return any(node.is_secret for node in nodes)


def _of_field(node: Node, name: str) -> list[Node]:
    """Return the nodes that a schema has for a field's value."""
    found = [inner for holds, inner in node.patterns if holds(name)]
    if name in node.properties:
        found.append(node.properties[name])
    if not found and node.others is not None:
        found.append(node.others)
    return found


def _leading_to_secrets(root: Node) -> _Nodes:
    """Return the nodes that are secret, or that something secret is within."""
    above: dict[Node, list[Node]] = {root: []}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        for inner in _within(node):
            if inner not in above:
                above[inner] = []
                waiting.append(inner)
            above[inner].append(node)
    found: set[Node] = set()
    waiting = [node for node in above if node.is_secret]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += above[node]
    return frozenset(found)


def _within(node: Node) -> Iterator[Node]:
    yield from node.of_same_value()
    yield from node.prefix
    yield from node.properties.values()
    yield from (inner for _, inner in node.patterns)
    if node.items is not None:
        yield node.items
    if node.others is not None:
        yield node.others


NO_SECRETS: Final = SecretFields(Node())
"""What is secret in most payloads."""
