"""Retry-After headers of endpoints."""

from datetime import UTC, datetime, timedelta

import pytest

from taskmill.outbound.retry_after import retry_after

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("99999999999999999999", 3600),
        ("Wed, 25 Nov 2026 12:00:30 GMT", 30),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0),
        ("Wed, 25 Nov 2099 12:00:00 GMT", 3600),
        ("Wed, 25 Nov 2026 12:00:30", 30),
    ],
)
def test_seconds_and_dates_are_read_within_bounds(value: str, seconds: float) -> None:
    assert retry_after(value, NOW, longest=HOUR) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", [None, "", "-5", "1.5", "soon", "²", "Wed, 99 Nov 2026 12:00:00"])
def test_an_invalid_retry_after_is_ignored(value: str | None) -> None:
    assert retry_after(value, NOW, longest=HOUR) is None
