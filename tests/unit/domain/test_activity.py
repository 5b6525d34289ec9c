"""Windows, and what a histogram shows of durations."""

import math
import random
from datetime import timedelta

import pytest

from taskmill.domain.activity import LAST_BUCKET, Durations, Flow, Window
from taskmill.domain.lifecycle import EventType


def bucket_of(seconds: float) -> int:
    """As `taskmill.duration_bucket` has it."""
    return min(math.ceil(5 * math.log(max(seconds, 0.001) * 1000)), LAST_BUCKET)


def of(values: list[float]) -> Durations:
    buckets: dict[int, int] = {}
    for value in values:
        buckets[bucket_of(value)] = buckets.get(bucket_of(value), 0) + 1
    return Durations(seconds=sum(values), buckets=buckets)


def nearest_rank(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0, 3.0])
def test_a_percentile_is_off_by_eleven_percent_at_most(share: float, spread: float) -> None:
    rng = random.Random(f"{share} {spread}")  # noqa: S311 - no secret
    for size in (1, 2, 7, 100, 3000):
        values = [min(max(rng.lognormvariate(0, spread), 0.0011), 2e6) for _ in range(size)]
        [percentile] = of(values).percentiles_s(share)
        assert percentile is not None
        assert 0.9 < percentile / nearest_rank(values, share) < 1.11


def test_no_time_is_shown_as_a_millisecond_and_very_much_as_34_days() -> None:
    assert of([0.0, 1e-9, 0.001]).percentiles_s(0.5) == [pytest.approx(0.001)]
    [last] = of([1e9]).percentiles_s(0.99)
    assert last == pytest.approx(math.exp(21.8) / 1000)


def test_a_percentile_is_shown_as_the_middle_of_its_bucket() -> None:
    durations = Durations(buckets={5: 3, 10: 1})
    first, last = durations.percentiles_s(0.75, 0.76)
    assert first == pytest.approx(math.exp(0.9) / 1000, rel=1e-9)
    assert last == pytest.approx(math.exp(1.9) / 1000, rel=1e-9)


def test_without_tasks_there_is_no_mean_and_no_percentile() -> None:
    assert (Durations().tasks, Durations().mean_s) == (0, None)
    assert Durations().percentiles_s(0.5, 0.9) == [None, None]


def test_the_mean_is_exact() -> None:
    assert of([1.0, 2.5, 4.0]).mean_s == pytest.approx(2.5)


def test_flows_add_up() -> None:
    one = Flow(counts={EventType.CLAIMED: 1}, waiting=of([1.0]), running=of([2.0]))
    two = Flow(counts={EventType.CLAIMED: 2, EventType.LOST: 1}, waiting=of([1.0, 9.0]))
    both = Flow.total([one, two])
    assert both.counts == {EventType.CLAIMED: 3, EventType.LOST: 1}
    assert (both.changes, both.waiting.tasks, both.running.tasks) == (4, 3, 1)
    assert both.waiting == of([1.0, 1.0, 9.0])
    assert both.running == one.running


@pytest.mark.parametrize("window", Window)
def test_a_window_has_enough_points_for_a_chart_and_not_too_many(window: Window) -> None:
    assert 5 <= window.length / window.step <= 120
    assert window.length % window.step == timedelta(0)
