"""The words of blockers for times, numbers and names."""

import time
from datetime import timedelta, timezone

import pytest

from taskmill.domain.blockers import a_few, counted, moment, rate, span, when
from tests.support.explain_snapshots import NOON, s


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (1, "1 s"),
        (6.9, "6 s"),
        (60, "1m"),
        (200, "3m 20s"),
        (7200, "2h"),
        (187_200, "2d 4h"),
        (90_061, "1d 1h"),
    ],
)
def test_lengths_of_time_have_two_units_at_most(seconds: float, words: str) -> None:
    assert span(s(seconds)) == words


def test_words_for_times_numbers_and_names() -> None:
    assert when(NOON + s(90), NOON) == "2030-01-31T12:01:30Z (in 1m 30s)"
    assert when(NOON, NOON) == "2030-01-31T12:00:00Z (0.0 s ago)"
    assert [counted(n, "task") for n in (0, 1, 12_345)] == ["0 tasks", "1 task", "12,345 tasks"]
    assert [rate(n) for n in (0.0234, 1, 9.96, 10, 12_345.6)] == [
        "0.023",
        "1",
        "10",
        "10",
        "12,346",
    ]
    assert a_few(["a", "b"]) == "a, b"
    assert a_few(list("abcde")) == "a, b, c, d, e"
    assert a_few(list("abcdefg")) == "a, b, c, d, e and 2 more"


def test_a_time_is_shown_in_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as abroad:
        abroad.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        shown = moment(NOON.astimezone(timezone(timedelta(hours=-5))))
    time.tzset()
    assert shown == "2030-01-31T12:00:00Z"
