"""From a JSON Schema to the nodes that `checking.py` walks: see `nodes.py`.

What can't be checked in bounded time is refused here, with the keyword and its pointer; only annotations are
ignored silently.
"""

from typing import Final

from taskmill.domain.errors import InvalidInput, Violation
from taskmill.wire.contracts.keywords import ANNOTATIONS, READERS, Reading, Unreadable
from taskmill.wire.contracts.nodes import Node
from taskmill.wire.contracts.references import Schema, resolve, step
from taskmill.wire.contracts.unions import complete_words
from taskmill.wire.wording import describe, plain

MOST_NODES: Final = 2_000
_MOST_FAULTS: Final = 100
# Nodes, one within the other, that may check the same value.
_LONGEST_CHAIN: Final = 16
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def compile_schema(document: Schema) -> tuple[Node, int]:
    """Return the node of the whole schema, and how many nodes check one value at most.

    Raises:
        InvalidInput: It can't be checked; each place within it is named.
    """
    compiler = _Compiler(document)
    compiled = compiler.compile()
    if compiler.faults:
        raise InvalidInput(tuple(compiler.faults))
    return compiled


class _TooLongError(Exception):
    """A chain is longer than it may be, or a circle."""


class _Compiler:
    """Makes a node for each schema in the document that a value can meet."""

    def __init__(self, document: Schema) -> None:
        self.faults: list[Violation] = []
        self._document = document
        self._nodes: dict[str, Node] = {}
        self._waiting: list[tuple[Node, Schema, str]] = []
        # How many nodes, one within the other, check a value from each node on; and how many in all.
        self._checks: dict[Node, tuple[int, int]] = {}

    def compile(self) -> tuple[Node, int]:
        self._check_head()
        root = self._node(self._document, "")
        while self._waiting:
            self._fill(*self._waiting.pop())
        if not self.faults:
            complete_words(self._nodes.values())
            self._check_chains()
            if not root.accepts("object"):
                self._fault("", "a schema of objects: a payload is one", root.type_words)
        return root, max((checks for _, checks in self._checks.values()), default=0)

    def _fault(self, pointer: str, expected: str, got: str) -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(Violation(pointer=plain(pointer), expected=expected, got=got))

    def _check_head(self) -> None:
        head = self._document
        dialect = head.get("$schema") if isinstance(head, dict) else None
        if isinstance(dialect, str) and dialect.removesuffix("#") != _DIALECT:
            expected = "draft 2020-12, or no $schema"
            self._fault("/$schema", expected, describe(dialect, reveal=True))

    def _node(self, schema: object, pointer: str) -> Node:
        """Return the schema's node; a reference has that of what it refers to."""
        found = resolve(self._document, schema, pointer, ANNOTATIONS)
        if isinstance(found, str):
            self._fault(pointer, "a reference within this schema that leads to one", found)
            return Node()
        schema, pointer = found
        if pointer not in self._nodes:
            if len(self._nodes) >= MOST_NODES:
                self._fault(pointer, f"at most {MOST_NODES:,} schemas in one", "more")
                return Node()
            self._nodes[pointer] = Node()
            self._waiting.append((self._nodes[pointer], schema, pointer))
        return self._nodes[pointer]

    def _fill(self, node: Node, schema: Schema, pointer: str) -> None:
        if schema is False:
            node.types, node.type_words = frozenset(), "nothing here"
        elif isinstance(schema, dict):
            for keyword, value in schema.items():
                if not keyword.startswith("x-"):
                    self._read(node, keyword, value, pointer + step(keyword))
        elif schema is not True:
            self._fault(pointer, "a schema: an object, true or false", describe(schema))

    def _read(self, node: Node, keyword: str, value: object, pointer: str) -> None:
        reader = READERS.get(keyword)
        if reader is None:
            expected = "a keyword that can be checked: see docs/how-to/contracts.md"
            self._fault(pointer, expected, f"the keyword {plain(keyword[:60])}")
            return
        try:
            reader(Reading(node, value, pointer, self._node, self._fault))
        except Unreadable as error:
            self._fault(pointer, str(error), describe(value))

    def _check_chains(self) -> None:
        """Refuse schemas that check one value again and again, within themselves."""
        for pointer, node in self._nodes.items():
            try:
                self._measure(node, 0)
            except _TooLongError:
                expected = f"at most {_LONGEST_CHAIN} schemas within each other for one value, and no circle"
                self._fault(pointer, expected, "more")
                return

    def _measure(self, node: Node, above: int) -> tuple[int, int]:
        if above > _LONGEST_CHAIN:
            raise _TooLongError
        if node not in self._checks:
            inner = [self._measure(one, above + 1) for one in node.of_same_value()]
            longest = 1 + max((length for length, _ in inner), default=0)
            if longest > _LONGEST_CHAIN:
                raise _TooLongError
            # Alternatives within alternatives multiply.
            self._checks[node] = longest, 1 + sum(checks for _, checks in inner)
        return self._checks[node]
