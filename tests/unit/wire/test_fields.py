"""Times on the wire."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, strategies as st

from taskmill.wire.basics import format_timestamp
from taskmill.wire.fields import parse_timestamp


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-31T09:00:00Z", datetime(2030, 1, 31, 9, tzinfo=UTC)),
        ("2030-01-31t09:00:00z", datetime(2030, 1, 31, 9, tzinfo=UTC)),
        ("2030-01-31 12:00:00+03:00", datetime(2030, 1, 31, 9, tzinfo=UTC)),
        ("2030-01-31T09:00:00.123456789Z", datetime(2030, 1, 31, 9, 0, 0, 123456, tzinfo=UTC)),
        ("2030-01-31T09:00:00.5-00:00", datetime(2030, 1, 31, 9, 0, 0, 500000, tzinfo=UTC)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        ("1999-12-31T23:00:00-01:00", datetime(2000, 1, 1, tzinfo=UTC)),
        ("2100-12-31T23:59:59Z", datetime(2100, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_with_a_zone_becomes_utc(text: str, moment: datetime) -> None:
    parsed = parse_timestamp(text)
    assert parsed == moment
    assert parsed.tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "2030-01-31T09:00:00",
        "2030-01-31",
        "2030-01-31T09:00Z",
        "20300131T090000Z",
        "2030-W05-4T09:00:00Z",
        "2030-02-30T09:00:00Z",
        "2030-01-31T25:00:00Z",
        "2030-01-31T09:00:60Z",
        "2030-01-31T09:00:00+99:00",
        "٢٠٣٠-01-31T09:00:00Z",
        "1999-12-31T23:59:59Z",
        "2101-01-01T00:00:00Z",
        "2000-01-01T00:00:00+01:00",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "now",
        "",
        1_900_000_000,
        None,
        True,
    ],
)
def test_anything_else_is_not_a_time(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(value)


@given(
    st.datetimes(
        min_value=datetime(2000, 1, 2),  # noqa: DTZ001  (Hypothesis adds the zone)
        max_value=datetime(2100, 12, 30),  # noqa: DTZ001  (Hypothesis adds the zone)
        timezones=st.builds(
            timezone, st.integers(-14 * 60, 14 * 60).map(lambda m: timedelta(minutes=m))
        ),
    )
)
def test_a_shown_time_is_read_as_the_same_time(moment: datetime) -> None:
    assert parse_timestamp(format_timestamp(moment)) == moment


def test_shown_times_have_one_width_so_they_sort_as_texts() -> None:
    whole = format_timestamp(datetime(2030, 1, 31, 9, tzinfo=UTC))
    assert whole == "2030-01-31T09:00:00.000000Z"
    assert whole < format_timestamp(datetime(2030, 1, 31, 9, 0, 0, 1, tzinfo=UTC))
