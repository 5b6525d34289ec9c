"""The time window in an address."""

from datetime import UTC, datetime, timedelta

import pytest

from taskmill.dashboard.window_pairs import asked, carried, ends_of, parse_moment
from taskmill.domain.errors import InvalidInput

BEGIN = datetime(2026, 11, 30, 10, tzinfo=UTC)
NOW = BEGIN + timedelta(hours=2)


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("window=7d&name=x", [("window", "7d")]),
        ("window=1y", []),
        ("from=2026-11-30T10:00Z&to=2026-11-30T11:00Z&window=7d", "ends"),
        ("from=2026-11-30T10:00Z&to=2026-11-30T11:00Z", "ends"),
        ("from=2026-11-30T10:00Z", [("from", "2026-11-30T10:00Z")]),
        ("to=2026-11-30T10:00Z", []),
        ("from=yesterday&to=2026-11-30T11:00Z", []),
        ("from=%ff", []),
        ("from=2026-11-30T11:00Z&to=2026-11-30T10:00Z", []),
        ("from=2026-01-01T00:00Z&to=2026-11-30T10:00Z", []),
        ("from=2026-12-24T00:00Z&to=2026-12-25T00:00Z", []),
    ],
)
def test_only_a_valid_window_is_carried(query: str, pairs: list[tuple[str, str]] | str) -> None:
    ends = [("from", "2026-11-30T10:00Z"), ("to", "2026-11-30T11:00Z")]
    for path in ("/", "/ui/queues/mail"):
        assert carried(path, query.encode(), NOW) == (ends if pairs == "ends" else pairs)


def test_what_other_pages_have_between_two_times_is_no_window_of_charts() -> None:
    query = b"from=2026-11-30T10:00Z&to=2026-11-30T11:00Z"
    for path in ("/ui/tasks", "/ui/schedules/nightly/backfill"):
        assert carried(path, query, NOW) == []


def test_a_window_is_carried_as_it_was_asked_for() -> None:
    query = [("from", "2026-11-30T10:07:30+01:00"), ("name", "x")]
    assert asked(query, NOW) == query[:1]
    assert asked([("window", "1h")], NOW) == [("window", "1h")]
    assert asked([], NOW) == []


def test_a_range_goes_on_until_now_at_most() -> None:
    for until in ([], [("to", "2026-12-30T10:00Z")], [("to", "2099-01-01T00:00Z")]):
        assert ends_of([("from", "2026-11-30T10:00Z"), *until], NOW) == (BEGIN, NOW)
    assert ends_of([("window", "1h")], NOW) is None
    with pytest.raises(InvalidInput):
        ends_of([("to", "2026-11-30T10:00Z")], NOW)


@pytest.mark.parametrize(
    "text",
    [
        *("2026-11-30T10:00", "2026-11-30T10:00Z", "2026-11-30T10:00:00Z", "2026-11-30T10:00:00"),
        *("2026-11-30T13:00+03:00", "2026-11-30T10:00:00.000Z"),
    ],
)
def test_times_are_read_as_forms_and_people_write_them(text: str) -> None:
    assert parse_moment(text) == BEGIN


@pytest.mark.parametrize("text", ["", "10:00", "2026-11-30", "2026-13-30T10:00", "now", "T10:00"])
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_moment(text) is None
