"""The filter of the list: what it accepts, what it complains about, and that its query gives the same filter."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from hypothesis import given, strategies

from taskmill.dashboard.form import MOST_PAIRS, parse_pairs
from taskmill.dashboard.pages.filters import Filters
from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import Status

WORKER = "01a2149e-f206-7000-824a-bc32129cfdeb"
NOW = datetime(2026, 11, 25, 20, 0, tzinfo=UTC)
NAMES = (
    *("status", "queue", "type", "label", "name", "since", "created_after", "created_before"),
    *("error", "worker", "order", "after", "before", "other"),
)
VALUES = strategies.one_of(
    strategies.text(max_size=30),
    strategies.datetimes().map(datetime.isoformat),
    strategies.sampled_from(["new", "a=b", "1h", "mail", "asc", str(uuid4())]),
)


def test_a_filter_has_the_query_that_it_was_made_from() -> None:
    query = [
        ("status", "new"),
        ("status", "failed"),
        ("label", "team=a=b"),
        ("queue", "mail"),
        ("type", "send"),
        ("name", "Ünïcode & more"),
        ("error", "E: # "),
        ("worker", WORKER),
        ("since", "1h"),
        ("order", "asc"),
    ]
    filters = Filters.of(query)
    assert filters.complaints == {}
    assert filters.pairs == query
    wanted = filters.wanted(NOW)
    assert wanted.statuses == {Status.NEW, Status.FAILED}
    assert wanted.labels == (("team", "a=b"),)
    assert wanted.created_after == NOW - timedelta(hours=1)
    assert (wanted.error, wanted.lease) == ("E: # ", UUID(WORKER))
    assert Filters.of(filters.pairs) == filters


def test_times_without_a_zone_are_in_utc_and_the_narrower_begin_holds() -> None:
    filters = Filters.of([("created_after", "2026-11-25T19:30"), ("since", "1h")])
    assert filters.wanted(NOW).created_after == datetime(2026, 11, 25, 19, 30, tzinfo=UTC)
    filters = Filters.of([("created_before", "2026-11-25T22:30:00+03:00")])
    assert filters.wanted(NOW).created_before == datetime(2026, 11, 25, 19, 30, tzinfo=UTC)
    # What a field for a time can't show would be lost when the form is sent again.
    assert filters.pairs == [("created_before", "2026-11-25T19:30:00")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "done"),
        ("queue", "Not A Name"),
        ("type", "x" * 64),
        ("label", "no-value"),
        ("label", "=x"),
        ("name", "x" * 201),
        ("since", "1y"),
        ("error", "x" * 305),
        ("worker", "worker-1"),
        ("created_after", "yesterday"),
        ("created_after", "9999-12-31T23:59"),
        ("created_before", "2026-02-30T00:00"),
        ("created_before", "0001-01-01T00:00:00-14:00"),
    ],
)
def test_what_does_not_fit_gets_a_complaint(name: str, value: str) -> None:
    assert list(Filters.of([(name, value)]).complaints) == [name]


def test_a_position_in_the_list_is_one_id() -> None:
    one = str(uuid4())
    assert Filters.of([("after", one)]).complaints == {}
    for query in ([("after", "x")], [("after", one), ("before", one)], [("before", f"{{{one}}}")]):
        assert list(Filters.of(query).complaints) == ["page"]


@pytest.mark.parametrize("encoded", [b"\xff=1", b"a=%FF", b"a=%00", b"a&" * (MOST_PAIRS + 1)])
def test_a_query_that_can_not_be_read_is_refused(encoded: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_pairs(encoded)


@given(strategies.lists(strategies.tuples(strategies.sampled_from(NAMES), VALUES), max_size=6))
def test_every_query_becomes_a_filter_or_a_complaint(
    query: list[tuple[str, str]],
) -> None:
    filters = Filters.of([(name, value.replace("\x00", "")) for name, value in query])
    if not filters.complaints:
        filters.wanted(NOW)
        again = Filters.of(parse_pairs(urlencode(filters.pairs).encode()))
        assert again.wanted(NOW) == filters.wanted(NOW)
