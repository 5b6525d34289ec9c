"""The results of a scenario: figures of several rounds, what they are compared with, and whether they pass.

A figure is the median of its rounds. A ratio is the median of the rounds' own ratios: the sides of a round run one
after the other, up to a minute apart if there are many, and the next round has them in reverse. So slow changes of
the machine's pace affect all of them alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log, sqrt
from statistics import fmean, median, stdev
from typing import assert_never

_SMALL = 100
# Student's t for 20 rounds; 1.96 for very many.
_OF_95_PERCENT = 2.09


class Verdict(StrEnum):
    """Whether a figure met its target; `INFORMATION` has none."""

    MET = "met"
    MISSED = "MISSED"
    INFORMATION = "-"


class Bound(StrEnum):
    """On which side of its target a figure must be."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure must reach: its ratio if it is compared with something, else its value."""

    bound: Bound
    value: float

    def is_met_by(self, measured: float) -> bool:
        match self.bound:
            case Bound.AT_LEAST:
                return measured >= self.value
            case Bound.AT_MOST:
                return measured <= self.value
            case _:
                assert_never(self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured quantity. `theirs`, when there, has the rounds of `against`, in the same order."""

    name: str
    unit: str
    ours: Sequence[float]
    against: str = ""
    theirs: Sequence[float] = ()
    target: Target | None = None

    @property
    def value(self) -> float:
        return median(self.ours)

    @property
    def spread(self) -> float:
        """The spread of the rounds: half of their range, as a share of the median."""
        return _spread(self.ours)

    @property
    def their_spread(self) -> float | None:
        return _spread(self.theirs) if self.theirs else None

    @property
    def their_value(self) -> float | None:
        return median(self.theirs) if self.theirs else None

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round; empty if it is compared with nothing."""
        if not self.theirs:
            return []
        return [our / their for our, their in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float | None:
        return median(self.ratios) if self.theirs else None

    @property
    def verdict(self) -> Verdict:
        if self.target is None:
            return Verdict.INFORMATION
        measured = self.value if self.ratio is None else self.ratio
        return Verdict.MET if self.target.is_met_by(measured) else Verdict.MISSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A quantity over time, in seconds from the begin: for a plot, without a verdict."""

    name: str
    unit: str
    at_s: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The figures of one scenario, or why there are none."""

    scenario: str
    title: str
    figures: Sequence[Figure] = ()
    series: Sequence[Series] = ()
    seconds: float = 0.0
    trouble: str | None = None

    @property
    def is_measured(self) -> bool:
        return self.trouble is None

    @property
    def missed(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.verdict is Verdict.MISSED]


def _spread(values: Sequence[float]) -> float:
    middle = median(values)
    return (max(values) - min(values)) / 2 / abs(middle) if middle else 0.0


def at_least(value: float) -> Target:
    return Target(bound=Bound.AT_LEAST, value=value)


def at_most(value: float) -> Target:
    return Target(bound=Bound.AT_MOST, value=value)


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the geometric mean of at least two ratios; for 20 or more it is about right."""
    logs = [log(ratio) for ratio in ratios]
    width = _OF_95_PERCENT * stdev(logs) / sqrt(len(logs))
    return exp(fmean(logs) - width), exp(fmean(logs) + width)


def shown(value: float) -> str:
    """Return a value with its significant digits."""
    return f"{value:,.0f}" if value >= _SMALL else f"{value:.3g}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
