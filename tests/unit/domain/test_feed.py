"""The cursor of the feed, and which changes a filter admits."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.feed import OLDEST, START, Change, Cursor, FeedFilter
from taskmill.domain.lifecycle import Status
from tests.support.histories import an_event

CHANGE = Change(
    cursor=Cursor(1, 1),
    event=an_event(status=Status.IN_PROGRESS),
    queue="mail",
    type="report",
    name="a",
    labels="{}",
)


@given(position=st.integers(0, 10**18 - 1), ordinal=st.integers(0, 10**9 - 1))
def test_a_cursor_is_read_as_it_is_shown(position: int, ordinal: int) -> None:
    cursor = Cursor(position, ordinal)
    assert Cursor.parse(str(cursor)) == cursor


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("0.0", START),
        ("17.3", Cursor(17, 3)),
        (f"{10**18 - 1}.{10**9 - 1}", Cursor(10**18 - 1, 10**9 - 1)),
    ],
)
def test_a_cursor_has_its_position_before_the_dot(text: str, cursor: Cursor) -> None:
    assert Cursor.parse(text) == cursor
    assert str(cursor) == text


def test_zero_is_before_the_oldest_change_that_is_retained() -> None:
    assert Cursor.parse("0") is OLDEST


@pytest.mark.parametrize(
    "text", ["", "1", "01.0", "1.00", "1.-1", "1.0 ", "\u0661.0", f"{10**18}.0"]
)
def test_nothing_else_is_a_cursor(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no cursor$"):
        Cursor.parse(text)


FITTING: dict[str, object] = {
    "queues": "mail",
    "types": "report",
    "statuses": Status.IN_PROGRESS,
    "tasks": UUID(int=1),
}
OTHERS: dict[str, object] = {
    "queues": "post",
    "types": "mail",
    "statuses": Status.NEW,
    "tasks": UUID(int=9),
}


def admitted(wanted: dict[str, object], *names: str) -> bool:
    sets: dict[str, Any] = {name: frozenset({wanted[name]}) for name in names}
    return FeedFilter(**sets).admits(CHANGE)


def test_a_filter_admits_what_matches_all_of_its_sets() -> None:
    assert FeedFilter().admits(CHANGE)
    assert admitted(FITTING, *FITTING)


@pytest.mark.parametrize("name", FITTING)
def test_a_filter_refuses_what_one_of_its_sets_does_not_have(name: str) -> None:
    assert admitted(FITTING, name)
    assert not admitted(OTHERS, name)
    assert not admitted({**FITTING, name: OTHERS[name]}, *FITTING)
    assert FeedFilter(**{name: frozenset({FITTING[name], OTHERS[name]})}).admits(CHANGE)  # type: ignore[arg-type]  # names are the fields
