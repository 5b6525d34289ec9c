"""From a JSON Schema to its normal form: numbered nodes that the checker walks.

The normal form is JSON, and has every text that an error may need, so that Python (`checking.py`) and PostgreSQL
(`taskmill.check_value`, migration 0015) only compare, count and choose. What they could not check alike is refused
here, with the keyword and its pointer; only annotations are ignored silently.

A node may have, in the order in which they are checked:

    types, type_words      the kinds that a value may have (`number` comes with `integer`)
    enum, enum_words       the values that there are
    rules                  [kind, rule, argument, words] each, for values of that kind
    text_weight            how many states the expressions of its rules have, all together
    items, prefix          the node of items, and those of the first ones
    required               [name, words] each
    properties             [name, node] each
    patterns               [conditions, node] each, for fields whose names match
    name_weight            how many states the expressions of its patterns have, all together
    others, others_words   the node of all other fields; -1 for none
    names                  the node that names have to fit
    all                    nodes that the value has to fit, too
    unions                 alternatives: see `unions.py`
    nots                   [node, words] each: what the value must not fit
"""

from collections.abc import Sequence
from typing import Final

from taskmill.domain.errors import Violation
from taskmill.wire.contracts.keywords import ANNOTATIONS, READERS, Node, Reading
from taskmill.wire.contracts.references import Schema, resolve, step
from taskmill.wire.contracts.unions import finish_unions
from taskmill.wire.wording import describe, plain

MOST_NODES: Final = 2_000
_MOST_FAULTS: Final = 100
# Nodes, one within the other, that may check the same value.
_LONGEST_CHAIN: Final = 16
_DIALECTS: Final = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2020-12/schema#",
    }
)


class Faults:
    """What is wrong with a schema."""

    def __init__(self) -> None:
        self.found: list[Violation] = []

    def add(self, pointer: str, expected: str, came: str) -> None:
        """Add one fault, up to a limit."""
        if len(self.found) < _MOST_FAULTS:
            shown = plain(pointer)
            self.found.append(Violation(pointer=shown, expected=expected, got=came))


def compiled(document: Schema, faults: Faults) -> list[Node]:
    """Return the nodes of a schema, the first for the whole; unusable when there are faults."""
    compiler = _Compiler(document, faults)
    compiler.run()
    return compiler.nodes


class _Compiler:
    """Makes a node for each schema in the document that a value can meet."""

    def __init__(self, document: Schema, faults: Faults) -> None:
        self._document = document
        self._faults = faults
        self._numbers: dict[str, int] = {}
        self._waiting: list[tuple[int, Schema, str]] = []
        self.nodes: list[Node] = []

    def run(self) -> None:
        self._check_head()
        self.node(self._document, "")
        while self._waiting:
            number, schema, pointer = self._waiting.pop()
            self._fill(self.nodes[number], schema, pointer)
        if self._faults.found:
            return
        finish_unions(self.nodes)
        self._check_chains()
        self._check_root()

    def _check_head(self) -> None:
        head = self._document
        dialect = head.get("$schema") if isinstance(head, dict) else None
        if isinstance(dialect, str) and dialect not in _DIALECTS:
            came = plain(describe(dialect, reveal=True))
            self.fault("/$schema", "draft 2020-12, or no $schema", came)

    def _check_root(self) -> None:
        root = self.nodes[0]
        if "object" not in root.get("types", ("object",)):
            self.fault("", "a schema of objects: a payload is one", root["type_words"])

    def node(self, schema: object, pointer: str) -> int:
        """Return the number of the schema's node; a reference has that of what it refers to."""
        found = resolve(self._document, schema, pointer, ANNOTATIONS)
        if isinstance(found, str):
            self.fault(pointer, "a reference within this schema that leads to one", found)
            return 0
        schema, pointer = found
        if pointer not in self._numbers:
            if len(self.nodes) >= MOST_NODES:
                self.fault(pointer, f"at most {MOST_NODES:,} schemas in one", "more")
                return 0
            self._numbers[pointer] = len(self.nodes)
            self._waiting.append((len(self.nodes), schema, pointer))
            self.nodes.append({})
        return self._numbers[pointer]

    def _fill(self, node: Node, schema: object, pointer: str) -> None:
        if schema is False:
            node.update(types=[], type_words="nothing here")
        elif isinstance(schema, dict):
            for keyword, value in schema.items():
                self._read(node, schema, keyword, value, pointer + step(keyword))
            _name_absent(node)
        elif schema is not True:
            self.fault(pointer, "a schema: an object, true or false", describe(schema))

    def _read(self, node: Node, schema: Schema, keyword: str, value: object, pointer: str) -> None:
        if keyword.startswith("x-"):
            return
        reader = READERS.get(keyword)
        if reader is None:
            expected = "a keyword that can be checked: see docs/how-to/contracts.md"
            self.fault(pointer, expected, f"the keyword {plain(keyword[:60])}")
            return
        trouble = reader(
            Reading(compiler=self, node=node, schema=schema, value=value, pointer=pointer)
        )
        if trouble is not None:
            self.fault(pointer, trouble, describe(value))

    def fault(self, pointer: str, expected: str, came: str) -> None:
        """Add a fault of the schema."""
        self._faults.add(pointer, expected, came)

    def _check_chains(self) -> None:
        """Refuse schemas that check one value again and again, within themselves."""
        depths: dict[int, int] = {}
        pointers = {number: pointer for pointer, number in self._numbers.items()}
        for number in range(len(self.nodes)):
            try:
                _measure_chain(self.nodes, number, depths, 0)
            except _TooLongError:
                expected = f"at most {_LONGEST_CHAIN} schemas within each other for one value, and no circle"
                self.fault(pointers[number], expected, "more")
                return


class _TooLongError(Exception):
    """A chain is longer than it may be, or a circle."""


def _measure_chain(nodes: list[Node], number: int, depths: dict[int, int], above: int) -> int:
    """Return how many nodes, one within the other, check one value from this node on."""
    if above > _LONGEST_CHAIN:
        raise _TooLongError
    if number not in depths:
        inner = same_value_nodes(nodes[number])
        below = max((_measure_chain(nodes, one, depths, above + 1) for one in inner), default=0)
        if below >= _LONGEST_CHAIN:
            raise _TooLongError
        depths[number] = 1 + below
    return depths[number]


def most_checks(nodes: Sequence[Node]) -> int:
    """Return how many nodes check one value at most: alternatives within alternatives multiply."""
    checks: dict[int, int] = {}
    return max(_count_checks(nodes, number, checks) for number in range(len(nodes)))


def _count_checks(nodes: Sequence[Node], number: int, checks: dict[int, int]) -> int:
    if number not in checks:
        inner = same_value_nodes(nodes[number])
        checks[number] = 1 + sum(_count_checks(nodes, one, checks) for one in inner)
    return checks[number]


def _name_absent(node: Node) -> None:
    """Describe required fields for errors when they are missing; possible once all keywords are read."""
    described = dict(node.get("properties", ()))
    for field in node.get("required", ()):
        field[1] = described.get(field[0])


def same_value_nodes(node: Node) -> list[int]:
    """Return the nodes to which this one passes its own value."""
    unions = [number for union in node.get("unions", ()) for number in union["of"]]
    return [*node.get("all", ()), *unions, *(number for number, _ in node.get("nots", ()))]
