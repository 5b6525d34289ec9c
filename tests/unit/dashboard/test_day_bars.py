"""The days of a schedule as bars, and in words."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from taskmill.dashboard.pages.day_bars import HEIGHT, day_bars
from taskmill.dashboard.wording import Words
from taskmill.domain.fires import FireOutcome
from taskmill.domain.schedule_days import ScheduleDay

SINCE = datetime(2026, 11, 30, tzinfo=UTC)
CREATED, REFUSED = FireOutcome.CREATED, FireOutcome.REFUSED
MISSED, PAUSED = FireOutcome.SKIPPED_MISSED, FireOutcome.SKIPPED_PAUSED


def a_bar(language: str = "en", **parts: Any) -> tuple[list[tuple[str, float]], str]:  # noqa: ANN401 - of a day
    """Return the kinds and the heights of a day's bar, and its label."""
    facts = {"day": date(2026, 11, 30), "since": SINCE, "until": SINCE + timedelta(days=1)}
    [bar] = day_bars(Words(language, SINCE), [ScheduleDay(**{**facts, **parts})])
    return [(one.kind, one.height) for one in bar.segments], bar.label


@pytest.mark.parametrize(
    ("parts", "segments", "label"),
    [
        ({}, [], "Mon 2026-11-30: no ticks"),
        ({"ticks": {CREATED: 3}}, [("created", HEIGHT)], "Mon 2026-11-30: 3 tasks"),
        (
            {"ticks": {CREATED: 2, MISSED: 2}, "failed": 1},
            [("failed", 10.0), ("skipped", 20.0), ("created", 10.0)],
            "Mon 2026-11-30: 2 tasks, 1 failed, 2 ticks skipped",
        ),
        (
            {"ticks": {REFUSED: 1, PAUSED: 1}},
            [("refused", 20.0), ("intended", 20.0)],
            "Mon 2026-11-30: 1 tick skipped, 1 refused",
        ),
        ({"stretch": MISSED}, [("skipped", HEIGHT)], "Mon 2026-11-30: Skipped: missed"),
        ({"stretch": PAUSED}, [("intended", HEIGHT)], "Mon 2026-11-30: Skipped: paused"),
        (
            {"ticks": {CREATED: 100}, "is_more": True},
            [("created", HEIGHT)],
            "Mon 2026-11-30: 100 tasks, of the last 100 of the day",
        ),
    ],
)
def test_a_day_has_a_bar_and_words(
    parts: dict[str, Any], segments: list[tuple[str, float]], label: str
) -> None:
    assert a_bar(**parts) == (segments, label)


def test_a_single_failure_among_very_many_is_seen() -> None:
    segments, _ = a_bar(ticks={CREATED: 100_000}, failed=1)
    assert [kind for kind, _ in segments] == ["failed", "created"]
    assert segments[0][1] > 3
    assert sum(height for _, height in segments) == pytest.approx(HEIGHT, abs=0.1)


def test_a_day_has_russian_words() -> None:
    assert a_bar("ru", ticks={CREATED: 3, MISSED: 2})[1] == (
        "пн 2026-11-30: 3 задачи, 2 срабатывания пропущено"
    )
