from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from taskmill.wire.basics import format_duration
from taskmill.wire.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT1S", timedelta(seconds=1)),
        ("PT15M", timedelta(minutes=15)),
        ("PT90M", timedelta(minutes=90)),
        ("P1D", timedelta(days=1)),
        ("P2W", timedelta(weeks=2)),
        ("P1DT12H", timedelta(hours=36)),
        ("PT0.5S", timedelta(seconds=0.5)),
        ("P0D", timedelta()),
        ("P1DT2H3M4.000005S", timedelta(days=1, hours=2, minutes=3, seconds=4, microseconds=5)),
    ],
)
def test_a_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "1D",
        "PT1",
        "P1Y",
        "P1M",
        "P1W2D",
        "P-1D",
        "-P1D",
        "pt1s",
        "PT1.5H",
        "PT1S ",
        "PT1S\n",
        "PT٣S",
        "PT1.1234567S",
        "P9999999D",
        "15m",
        15,
        None,
        ["PT1S"],
    ],
)
def test_what_is_no_duration_of_a_fixed_length_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_duration(text)


@given(st.timedeltas(timedelta(), timedelta(days=9999)))
def test_a_duration_is_written_as_it_is_read(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


def test_durations_are_written_in_days_hours_minutes_and_seconds() -> None:
    assert format_duration(timedelta()) == "PT0S"
    assert format_duration(timedelta(weeks=1)) == "P7D"
    assert format_duration(timedelta(minutes=90)) == "PT1H30M"
    assert format_duration(timedelta(days=1, seconds=1.5)) == "P1DT1.5S"
