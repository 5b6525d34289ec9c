"""What is told beside our own counts, and that no label takes values without bound."""

import re

import pytest

from taskmill.observability import flow, metrics
from taskmill.observability.catalogue import REGISTRY
from taskmill.observability.kinds import KINDS, OTHER, Bounded
from taskmill.wire.fields import NAME_PATTERN
from tests.support.exposition import Page

BOUNDED = {
    *("status", "link", "pool", "cause", "batch", "method", "route", "duty", "outcome", "answer"),
    *("reason", "roles", "le", "queue", "type"),
    *("generation", "implementation", "major", "minor", "patchlevel", "version"),
}
MOST = 5


@pytest.fixture
def few_kinds(monkeypatch: pytest.MonkeyPatch) -> Bounded:
    """Room for a few kinds more than there are."""
    monkeypatch.setattr(KINDS, "most", len(KINDS) + MOST)
    return KINDS


def test_a_count_is_told_in_prometheus_text() -> None:
    told = "taskmill_messages_rejected_total"
    before = Page(metrics.exposition().decode()).value(told, status="422") or 0.0
    metrics.MESSAGES_REJECTED.labels("422").inc(2)
    line = f'{told}{{status="422"}} {before + 2}\n'.encode()
    assert line in metrics.exposition()
    assert b"# TYPE taskmill_messages_rejected_total counter\n" in metrics.exposition()


def test_the_process_and_the_collector_of_garbage_are_told_too() -> None:
    told = metrics.exposition()
    for name in (b"process_open_fds ", b"python_gc_collections_total{", b"python_info{"):
        assert b"\n" + name in told


def test_when_a_counter_was_made_is_nobodys_business() -> None:
    metrics.MESSAGES_REJECTED.labels("422")
    names = {line.split(b"{")[0].split()[0] for line in metrics.exposition().splitlines()}
    assert b"taskmill_messages_rejected_total" in names
    assert not any(name.endswith(b"_created") for name in names)


def test_every_label_is_known_to_be_bounded() -> None:
    flow.count_created([("a", "b")])
    labels = {
        label for family in REGISTRY.collect() for told in family.samples for label in told.labels
    }
    assert labels >= {"queue", "type"}
    assert labels - BOUNDED == set()


def test_kinds_beyond_the_bound_share_one_series(few_kinds: Bounded) -> None:
    kinds = [(f"flood-{number}", "t") for number in range(3 * MOST)]
    before = flow.CREATED.value(OTHER, OTHER)
    flow.count_created([*kinds, *kinds])

    page = Page(metrics.exposition().decode())
    told = {
        queue: page.value("taskmill_tasks_created_total", queue=queue, type="t")
        for queue, _ in kinds
    }
    assert list(told.values()) == [2.0] * MOST + [None] * (2 * MOST)
    assert flow.CREATED.value(OTHER, OTHER) - before == 2 * 2 * MOST
    assert len(few_kinds) == few_kinds.most


def test_no_queue_can_have_the_name_that_stands_for_the_rest() -> None:
    assert not re.fullmatch(NAME_PATTERN, OTHER)
