"""The bars of attempts: within the axis, each as long as what it stands for."""

from datetime import timedelta

import pytest

from taskmill.dashboard.gantt import run_charts
from taskmill.domain.course import AttemptCourse, Phase, PhaseKind
from tests.unit.domain.test_course import at


def an_attempt(*lengths: float, begin: float = 0, run: int = 1) -> AttemptCourse:
    """Return an attempt with phases of these lengths in seconds; the last of them failed."""
    phases, moment = [], at(begin)
    for number, length in enumerate(lengths):
        kind = PhaseKind.FAILED if number + 1 == len(lengths) else PhaseKind.WAITING
        phases.append(Phase(kind=kind, begin=moment, end=moment + timedelta(seconds=length)))
        moment = phases[-1].end
    return AttemptCourse(run=run, attempt=1, phases=tuple(phases))


def test_bars_are_as_long_as_their_share_of_the_run() -> None:
    [chart] = run_charts([an_attempt(1, 3), an_attempt(2, 4, begin=4)])
    assert chart.seconds == 10
    bars = [[(bar.start, bar.width) for bar in row.bars] for row in chart.rows]
    assert bars == [[(0, 10), (10, 30)], [(40, 20), (60, 40)]]


def test_the_latest_run_is_first_and_each_has_an_axis_of_its_own() -> None:
    charts = run_charts([an_attempt(1, 1), an_attempt(5, 5, begin=1000, run=2)])
    assert [(one.run, one.seconds, one.begin) for one in charts] == [
        (2, 10, at(1000)),
        (1, 2, at(0)),
    ]


def test_a_short_phase_is_seen_and_stays_within_the_axis() -> None:
    [chart] = run_charts([an_attempt(100_000, 0.001)])
    last = chart.rows[0].bars[-1]
    assert last.width > 0.3
    assert last.start + last.width <= 100
    [chart] = run_charts([an_attempt(0)])
    assert [bar.start + bar.width <= 100 for bar in chart.rows[0].bars] == [True]


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [
        (0.004, [0, 0.001, 0.002, 0.003, 0.004]),
        (7, [0, 2, 4, 6]),
        (75, [0, 15, 30, 45, 60, 75]),
        (3 * 3600, [0, 3600, 7200, 10800]),
        (10**9, [0, 2e8, 4e8, 6e8, 8e8, 1e9]),
    ],
)
def test_the_axis_has_round_times(seconds: float, ticks: list[float]) -> None:
    [chart] = run_charts([an_attempt(seconds)])
    assert [one.seconds for one in chart.ticks] == pytest.approx(ticks)
    assert all(0 <= one.at <= 100 for one in chart.ticks)
