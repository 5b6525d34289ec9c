"""Where two JSON values differ: each place by its pointer, bounded."""

import copy
from typing import Any

from hypothesis import given, strategies as st

from taskmill.domain.json_diff import MOST, Difference, Presence, differences

_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab/~", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=12,
)


def at(value: Any, pointer: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return what is at a pointer, as RFC 6901 says."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


def test_each_place_is_named_once_with_both_values() -> None:
    here = {"to": "ada", "tags": ["a", "b"], "only/here": 1, "same": {"x": 1}}
    there = {"to": "bob", "tags": ["a"], "same": {"x": 1}, "there": None}
    assert differences(here, there) == [
        Difference(pointer="/to", presence=Presence.OTHER, here="ada", there="bob"),
        Difference(pointer="/tags/1", presence=Presence.ONLY_HERE, here="b"),
        Difference(pointer="/only~1here", presence=Presence.ONLY_HERE, here=1),
        Difference(pointer="/there", presence=Presence.ONLY_THERE),
    ]


def test_a_number_is_no_flag() -> None:
    [one] = differences({"a": True}, {"a": 1})
    assert (one.pointer, one.here, one.there) == ("/a", True, 1)


def test_no_more_are_found_than_can_be_shown_and_one() -> None:
    assert len(differences(list(range(10_000)), [])) == MOST + 1


@given(here=_values, there=_values)
def test_every_difference_is_one_and_equal_values_have_none(here: object, there: object) -> None:
    assert differences(here, copy.deepcopy(here)) == []
    for one in differences(here, there):
        if one.presence is not Presence.ONLY_THERE:
            assert at(here, one.pointer) == one.here
        if one.presence is not Presence.ONLY_HERE:
            assert at(there, one.pointer) == one.there
    if type(here) is not type(there) or here != there:
        assert differences(here, there)
