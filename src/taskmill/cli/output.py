"""How a command prints what the service returned: as JSON for programs, as ids only, or for people."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Generic, NamedTuple, TypeVar

from taskmill.cli import show

LARGEST_PAGE: Final = 500
"""How many items the service returns at once at most."""

Model = TypeVar("Model")
Item = TypeVar("Item")
Lines = Iterable[Sequence[show.Cell]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns(Generic[Model]):
    """A table of items (see `show.table`), the `key` of an item for ``--quiet``, and a note if there are none."""

    headings: Sequence[str]
    row: Callable[[Model], Sequence[show.Cell]]
    cut: str
    empty: str
    dispensable: Sequence[str] = ()
    numbers: Sequence[str] = ()
    texts: Sequence[str] = ()
    key: Callable[[Model], object] = lambda item: getattr(item, "id", None)


class Limit(NamedTuple):
    """How many items of a long list are wanted, None for all."""

    most: int | None

    @property
    def page_size(self) -> int:
        """How many to request at once."""
        return LARGEST_PAGE if self.most is None else min(self.most, LARGEST_PAGE)

    def of(self, items: Iterator[Item]) -> Iterator[Item]:
        """Return the wanted ones."""
        return islice(items, self.most)


class Output(NamedTuple):
    """What the options ``--json`` and ``--quiet`` ask for."""

    as_json: bool
    quiet: bool = False

    def item(self, item: Model, lines: Callable[[Model], Lines]) -> None:
        """Print one item; nothing where only ids are wanted, as the caller has given them."""
        if self.quiet:
            return
        if self.as_json:
            show.json_lines([item])
        else:
            for cells in lines(item):
                show.line(*cells)

    def items(
        self, items: Iterable[Model], columns: Columns[Model], *, in_pages: bool = False
    ) -> None:
        """Print all items. In pages a long list starts at once, and is never in memory as a whole."""
        if self.as_json:
            show.json_lines(items)
        elif self.quiet:
            for item in items:
                show.line(str(columns.key(item)))
        else:
            _print_tables(iter(items), columns, LARGEST_PAGE if in_pages else None)


def _print_tables(items: Iterator[Model], columns: Columns[Model], size: int | None) -> None:
    is_first = True
    while rows := [columns.row(item) for item in islice(items, size)]:
        show.table(
            columns.headings,
            rows,
            cut=columns.cut,
            dispensable=columns.dispensable,
            numbers=columns.numbers,
            texts=columns.texts,
            with_headings=is_first,
        )
        is_first = False
    if is_first:
        show.note(columns.empty)
