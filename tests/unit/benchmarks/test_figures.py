"""Figures from the rounds of benchmarks."""

import pytest

from benchmarks.figures import (
    Figure,
    Outcome,
    Target,
    Verdict,
    at_least,
    at_most,
    interval,
    percentile,
)


def figure(*ours: float, theirs: tuple[float, ...] = (), target: Target | None = None) -> Figure:
    return Figure(name="rate", unit="/s", ours=ours, against="them", theirs=theirs, target=target)


def test_a_figure_is_the_median_of_its_rounds() -> None:
    assert figure(10, 30, 20).value == 20


def test_the_spread_is_half_of_the_range_as_a_share_of_the_median() -> None:
    assert figure(90, 100, 130).spread == pytest.approx(0.2)
    assert figure(0, 0).spread == 0


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    # The machine was twice as fast in the last round, for both.
    measured = figure(10, 11, 30, theirs=(10, 10, 20))
    assert measured.ratios == [1.0, 1.1, 1.5]
    assert measured.ratio == 1.1


def test_rounds_of_both_sides_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = figure(1, 2, theirs=(1,)).ratio


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [
        (figure(20, theirs=(10,), target=at_least(2)), Verdict.MET),
        (figure(19, theirs=(10,), target=at_least(2)), Verdict.MISSED),
        (figure(10, theirs=(10,), target=at_most(1)), Verdict.MET),
        (figure(5, target=at_most(4)), Verdict.MISSED),
        (figure(5), Verdict.INFORMATION),
    ],
)
def test_a_target_is_for_the_ratio_else_for_the_value(measured: Figure, verdict: Verdict) -> None:
    assert measured.verdict is verdict


def test_an_outcome_has_its_missed_targets_and_whether_it_was_measured() -> None:
    missed = figure(5, target=at_most(4))
    outcome = Outcome(scenario="one", title="", figures=[figure(3, target=at_most(4)), missed])
    assert outcome.missed == [missed]
    assert outcome.is_measured
    assert not Outcome(scenario="two", title="", trouble="no broker").is_measured


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = list(range(100, 0, -1))
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    assert percentile([7], 0.99) == 7


def test_an_interval_lies_around_the_geometric_mean_and_shrinks_with_more_rounds() -> None:
    low, high = interval([0.5, 2.0] * 10)
    assert low * high == pytest.approx(1)
    assert interval([0.5, 2.0] * 40)[0] > low
    assert interval([0.9] * 20) == pytest.approx((0.9, 0.9))
