from datetime import timedelta

import pytest

from taskmill.domain.schedules.spec import ScheduleSpec
from taskmill.domain.schedules.words import in_words
from tests.support.tick_walk import utc


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            ScheduleSpec(cron="30 2 * * *", zone="Europe/Moscow"),
            "at 02:30 every day, Europe/Moscow",
        ),
        (ScheduleSpec(cron="@hourly"), "at the start of every hour, UTC"),
        (ScheduleSpec(every=timedelta(days=1)), "every day"),
        (ScheduleSpec(every=timedelta(minutes=90)), "every 90 minutes"),
        (ScheduleSpec(every=timedelta(hours=36)), "every 36 hours"),
        (ScheduleSpec(every=timedelta(seconds=1)), "every second"),
        (ScheduleSpec(every=timedelta(seconds=1.5)), "every 1.5 seconds"),
        (
            ScheduleSpec(every=timedelta(hours=2), anchor=utc(2026, 1, 1, 9, 30)),
            "every 2 hours, counted from 2026-01-01 09:30 UTC",
        ),
        (ScheduleSpec(at=(utc(2026, 1, 1, 9),)), "once, at 2026-01-01 09:00 UTC"),
        (
            ScheduleSpec(at=(utc(2026, 1, 1), utc(2026, 1, 2) + timedelta(seconds=5))),
            "2 times, from 2026-01-01 00:00 UTC to 2026-01-02 00:00:05 UTC",
        ),
    ],
)
def test_a_spec_reads_as_english(spec: ScheduleSpec, words: str) -> None:
    assert in_words(spec) == words
