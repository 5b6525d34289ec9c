"""Counters, histograms and readings of our own expose what the library's would."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram as TheirHistogram,
    generate_latest,
)
from prometheus_client.registry import Collector

from taskmill.observability.tallies import Histogram, Reading, Tally

BOUNDS = (0.1, 1.0, 10.0)
VALUES = (0.0, 0.1, 0.10001, 1.0, 5.5, 10.0, 10.1, 1e6)


def exposed(*collectors: Collector) -> list[str]:
    """Return a registry's exposition of them, with sorted series."""
    registry = CollectorRegistry(auto_describe=True)
    for collector in collectors:
        registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    return sorted(line for line in lines if "_created" not in line)


def test_a_tally_exposes_what_a_counter_would() -> None:
    theirs = Counter("x_total", "things", ["a", "b"], registry=None)
    ours = Tally("x_total", "things", ["a", "b"])
    for labels, amount in ((("1", "2"), 1), (("1", "3"), 5), (("1", "2"), 2)):
        theirs.labels(*labels).inc(amount)
        ours.add(amount, labels)
    assert exposed(ours) == exposed(theirs)
    assert (ours.value("1", "2"), ours.value("9", "9")) == (3, 0)


def test_a_histogram_has_the_buckets_that_the_librarys_would_have() -> None:
    theirs = TheirHistogram("x_seconds", "time", ["a"], buckets=BOUNDS, registry=None)
    ours = Histogram("x_seconds", "time", ["a"], bounds=BOUNDS)
    for value in VALUES:
        theirs.labels("one").observe(value)
        ours.observe(value, ("one",))
        theirs.labels("many").observe(value)
    ours.observe_all(VALUES, ("many",))
    assert exposed(ours) == exposed(theirs)
    assert (ours.count("one"), ours.count("none")) == (len(VALUES), 0)


def test_without_labels_they_begin_at_nothing_and_with_known_ones_too() -> None:
    assert "x_total 0.0" in exposed(Tally("x_total", "things", []))
    assert "x_seconds_count 0.0" in exposed(Histogram("x_seconds", "time", [], bounds=BOUNDS))
    assert 'x_total{a="1"} 0.0' in exposed(Tally("x_total", "things", ["a"], known=[("1",)]))


def test_a_reading_adds_up_those_it_watches_and_forgets() -> None:
    reading = Reading("x", "things", [])
    assert "x 0.0" in exposed(reading)

    class Owner:
        def __init__(self, value: float) -> None:
            self.value = value

        def read(self) -> dict[tuple[str, ...], float]:
            return {(): self.value}

    first, second, third = Owner(1), Owner(2), Owner(4)
    for owner in (first, second, third):
        reading.watch(owner, Owner.read)
    assert "x 7.0" in exposed(reading)
    first.value = 11
    reading.forget(second)
    reading.forget(second)
    del third, owner
    assert "x 11.0" in exposed(reading)
