"""The filter of the list of failures: from a query and back. It finds nothing."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.pages import slices
from taskmill.dashboard.view import Pairs
from taskmill.dashboard.window_pairs import NAMES
from taskmill.domain.activity import AnyWindow
from taskmill.domain.error_kinds import is_kind_id
from taskmill.domain.errors import InvalidInput
from taskmill.domain.failures import KindFilter, KindOrder, KindPosition, KindState
from taskmill.wire.fields import is_name
from taskmill.wire.wording import describe

ALL: Final = "all"
"""The value of `state` for kinds in any state; without a value they are the open ones."""
STATES: Final = (KindState.OPEN, KindState.RESOLVED, KindState.IGNORED, ALL)

_LONGEST_LABEL: Final = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureFilters:
    """What to list, and from where on. Each value is as in the address; empty is the usual one.

    `asked` are the parameters of the window as they were given.
    """

    window: AnyWindow
    asked: tuple[tuple[str, str], ...] = ()
    state: str = ""
    text: str = ""
    queue: str = ""
    type: str = ""
    label: str = ""
    order: KindOrder = KindOrder.MOST
    after: KindPosition | None = None

    @classmethod
    def of(cls, query: Pairs, window: AnyWindow, asked: Pairs) -> "FailureFilters":
        """Read a query, of which the window is known. Raises `InvalidInput`."""
        state, order, after = (first(query, name) for name in ("state", "order", "after"))
        return cls(
            window=window,
            asked=tuple(asked),
            state=one_of(STATES, state, "query:state") if state else "",
            text=slices.searched(query, "q"),
            queue=_name(query, "queue"),
            type=_name(query, "type"),
            label=_label(query),
            order=KindOrder(one_of(KindOrder, order, "query:order")) if order else KindOrder.MOST,
            after=_position(after) if after else None,
        )

    @property
    def wanted(self) -> KindFilter:
        """Which kinds to list."""
        key, _, value = self.label.partition("=")
        return KindFilter(
            window=self.window,
            queue=self.queue or None,
            type=self.type or None,
            text=self.text or None,
            label=(key, value) if self.label else None,
            state=None if self.state == ALL else KindState(self.state or KindState.OPEN),
        )

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves out kinds by more than their state."""
        return bool(self.text or self.queue or self.type or self.label)

    @property
    def pairs(self) -> Pairs:
        """The query for the same list, from its beginning on."""
        return list(self._pairs())

    def _pairs(self) -> Iterator[tuple[str, str]]:
        yield from self.asked
        for name, value in (("state", self.state), ("q", self.text)):
            if value:
                yield name, value
        for name in ("queue", "type", "label"):
            if value := getattr(self, name):
                yield name, value
        if self.order is not KindOrder.MOST:
            yield "order", self.order

    @property
    def without_window(self) -> Pairs:
        """The query for the same kinds, over the usual window."""
        return [pair for pair in self.pairs if pair[0] not in NAMES]

    def with_other(self, name: str, value: str) -> Pairs:
        """Return the query with another value of a parameter; empty: without it."""
        others = [pair for pair in self.pairs if pair[0] != name]
        return [*others, (name, value)] if value else others

    @property
    def of_tasks(self) -> Pairs:
        """The conditions that a list of tasks can have, too."""
        given = (("queue", self.queue), ("type", self.type), ("label", self.label))
        return [(name, value) for name, value in given if value]


def position_text(position: KindPosition) -> str:
    """Return where a page begins, as a value in an address."""
    return f"{position.value!r}:{position.id}"


def _position(text: str) -> KindPosition:
    value, _, kind_id = text.rpartition(":")
    try:
        found = KindPosition(value=float(value), id=kind_id)
    except ValueError:
        found = None
    if found is None or not math.isfinite(found.value) or not is_kind_id(kind_id):
        raise InvalidInput.at("query:after", "where a page begins", describe(text, reveal=True))
    return found


def _name(query: Pairs, name: str) -> str:
    text = first(query, name)
    if text and not is_name(text):
        raise InvalidInput.at(f"query:{name}", "a name", describe(text, reveal=True))
    return text


def _label(query: Pairs) -> str:
    text = first(query, "label")
    if text and ("=" not in text[1:] or len(text) > _LONGEST_LABEL):
        raise InvalidInput.at("query:label", "key=value", describe(text, reveal=True))
    return text
