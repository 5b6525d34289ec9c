"""What is exposed beside our own counts, and that the values of all labels are bounded."""

import re

import pytest

from taskmill.observability import flow, metrics
from taskmill.observability.catalogue import REGISTRY
from taskmill.observability.kinds import KINDS, OTHER, Bounded
from taskmill.wire.fields import NAME_PATTERN
from tests.support.exposition import Page

BOUNDED = {
    *("status", "link", "pool", "cause", "batch", "method", "route", "duty", "outcome"),
    *("reason", "roles", "le", "queue", "type", "limited_by", "server", "quota"),
    *("generation", "implementation", "major", "minor", "patchlevel", "version"),
}
MOST = 5


@pytest.fixture
def few_kinds(monkeypatch: pytest.MonkeyPatch) -> Bounded:
    """Room for a few kinds more than there are."""
    monkeypatch.setattr(KINDS, "most", len(KINDS) + MOST)
    return KINDS


def test_a_count_is_exposed_in_prometheus_text() -> None:
    name = "taskmill_messages_rejected_total"
    before = Page(metrics.exposition().decode()).value(name, status="422") or 0.0
    metrics.MESSAGES_REJECTED.labels("422").inc(2)
    line = f'{name}{{status="422"}} {before + 2}\n'.encode()
    assert line in metrics.exposition()
    assert b"# TYPE taskmill_messages_rejected_total counter\n" in metrics.exposition()


def test_the_process_and_the_garbage_collector_are_exposed_too() -> None:
    exposition = metrics.exposition()
    for name in (b"process_open_fds ", b"python_gc_collections_total{", b"python_info{"):
        assert b"\n" + name in exposition


def test_counters_have_no_created_series() -> None:
    metrics.MESSAGES_REJECTED.labels("422")
    names = {line.split(b"{")[0].split()[0] for line in metrics.exposition().splitlines()}
    assert b"taskmill_messages_rejected_total" in names
    assert not any(name.endswith(b"_created") for name in names)


def test_every_label_is_known_to_be_bounded() -> None:
    flow.count_created([("a", "b")])
    labels = {
        label
        for family in REGISTRY.collect()
        for sample in family.samples
        for label in sample.labels
    }
    assert labels >= {"queue", "type"}
    assert labels - BOUNDED == set()


def test_kinds_beyond_the_bound_share_one_series(few_kinds: Bounded) -> None:
    kinds = [(f"flood-{number}", "t") for number in range(3 * MOST)]
    before = flow.CREATED.value(OTHER, OTHER)
    flow.count_created([*kinds, *kinds])

    page = Page(metrics.exposition().decode())
    values = {
        queue: page.value("taskmill_tasks_created_total", queue=queue, type="t")
        for queue, _ in kinds
    }
    assert list(values.values()) == [2.0] * MOST + [None] * (2 * MOST)
    assert flow.CREATED.value(OTHER, OTHER) - before == 2 * 2 * MOST
    assert len(few_kinds) == few_kinds.most


def test_no_queue_can_have_the_name_that_stands_for_all_others() -> None:
    assert not re.fullmatch(NAME_PATTERN, OTHER)
