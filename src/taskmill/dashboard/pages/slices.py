"""Pages of a list that is short enough to be read whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from taskmill.dashboard.form import first
from taskmill.dashboard.view import Pairs
from taskmill.domain.errors import InvalidInput
from taskmill.wire.wording import describe

Item = TypeVar("Item")

MOST: Final = 50
LONGEST_NAME: Final = 200
_MOST_DIGITS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice(Generic[Item]):
    """A page, and the queries of the pages before and after it, None at the ends. `total` is of the whole list."""

    items: Sequence[Item]
    total: int
    newer: Pairs | None
    older: Pairs | None


def cut(items: Sequence[Item], query: Pairs) -> Slice[Item]:
    """Return the page with the query's number `page`, from 1 on; the last one if that is beyond the end.

    Raises:
        InvalidInput: `page` is not such a number.
    """
    number = min(_number(first(query, "page")), max((len(items) + MOST - 1) // MOST, 1))
    others = [pair for pair in query if pair[0] != "page"]
    return Slice(
        items=items[(number - 1) * MOST : number * MOST],
        total=len(items),
        newer=[*others, ("page", str(number - 1))] if number > 1 else None,
        older=[*others, ("page", str(number + 1))] if number * MOST < len(items) else None,
    )


def searched(query: Pairs, name: str) -> str:
    """Return the search text. Raises `InvalidInput` when it is too long."""
    text = first(query, name)
    if len(text) > LONGEST_NAME:
        expected = f"at most {LONGEST_NAME} characters"
        raise InvalidInput.at(f"query:{name}", expected, f"{len(text)}")
    return text


def _number(text: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text)):
        raise InvalidInput.at("query:page", "a number from 1 on", describe(text, reveal=True))
    return int(text)
