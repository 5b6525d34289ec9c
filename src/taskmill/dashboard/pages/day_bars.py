"""The days of a schedule as bars: what became of their ticks, as shares of each day."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from taskmill.dashboard.schedule_words import weekday
from taskmill.dashboard.wording import Words
from taskmill.domain.fires import FireOutcome
from taskmill.domain.schedule_days import MOST_OF_A_DAY, ScheduleDay

HEIGHT: Final = 40.0
_THINNEST: Final = 4.0
# The owner asked for these to make no task.
_INTENDED: Final = frozenset({FireOutcome.SKIPPED_PAUSED, FireOutcome.SKIPPED_GAP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a bar, from the top: its kind, where it begins, and how high it is."""

    kind: str
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBar:
    """A day, its bar, and all of it in words."""

    day: ScheduleDay
    segments: Sequence[Segment]
    label: str


def day_bars(words: Words, days: Sequence[ScheduleDay]) -> list[DayBar]:
    """Return the bars of days."""
    return [
        DayBar(day=one, segments=list(_segments(one)), label=_label(words, one)) for one in days
    ]


def _kinds(day: ScheduleDay) -> dict[str, int]:
    """Return the numbers of ticks by what is drawn, the worst first."""
    intended = sum(day.ticks.get(outcome, 0) for outcome in _INTENDED)
    found = {
        "refused": day.refused,
        "failed": day.failed,
        "skipped": day.skipped - intended,
        "intended": intended,
        "held": day.ticks.get(FireOutcome.HELD, 0),
        "created": day.created,
    }
    if not any(found.values()) and day.stretch is not None:
        return {"intended" if day.stretch in _INTENDED else "skipped": 1}
    return {kind: number for kind, number in found.items() if number}


def _segments(day: ScheduleDay) -> Iterator[Segment]:
    """Yield the parts of a day's bar: as high as their shares, but high enough to be seen."""
    kinds = _kinds(day)
    total = sum(kinds.values())
    heights = {kind: max(number / total * HEIGHT, _THINNEST) for kind, number in kinds.items()}
    scale = HEIGHT / sum(heights.values()) if heights else 1.0
    y = 0.0
    for kind, height in heights.items():
        yield Segment(kind=kind, y=round(y * scale, 2), height=round(height * scale, 2))
        y += height


def _label(words: Words, day: ScheduleDay) -> str:
    found = list(_numbers(words, day))
    if day.stretch is not None:
        found.append(words.t(f"schedule.outcome.{day.stretch}"))
    if day.is_more:
        found.append(words.t("schedule.day.more", n=MOST_OF_A_DAY))
    rest = ", ".join(found) or words.t("schedule.day.none")
    return f"{weekday(words, day.day.weekday())} {day.day}: {rest}"


def _numbers(words: Words, day: ScheduleDay) -> Iterator[str]:
    if made := day.created + day.failed:
        yield words.t("schedule.day.created", n=made)
    if day.failed:
        yield words.t("schedule.day.failed", n=day.failed)
    if day.skipped:
        yield words.t("schedule.day.skipped", n=day.skipped)
    if day.refused:
        yield words.t("schedule.day.refused", n=day.refused)
