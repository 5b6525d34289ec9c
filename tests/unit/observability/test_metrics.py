"""What is counted, and how it is told."""

from taskmill.observability import metrics

BOUNDED = {
    "status",
    "link",
    "generation",
    "implementation",
    "major",
    "minor",
    "patchlevel",
    "reason",
    "version",
}


def sample(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


def test_a_count_is_told_in_prometheus_text() -> None:
    before = sample("taskmill_messages_rejected_total", status="422") or 0.0
    metrics.MESSAGES_REJECTED.labels("422").inc(2)
    line = f'taskmill_messages_rejected_total{{status="422"}} {before + 2}\n'.encode()
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


def test_no_label_takes_values_from_outside() -> None:
    metrics.MESSAGES_REJECTED.labels("422")
    metrics.BROKER_UP.labels("test")
    labels = {
        label
        for family in metrics.REGISTRY.collect()
        for told in family.samples
        for label in told.labels
    }
    assert labels >= {"status", "link"}
    assert labels - BOUNDED == set()


def test_units_and_kinds_are_in_the_names() -> None:
    for family in metrics.REGISTRY.collect():
        if family.name.startswith("taskmill_"):
            assert family.documentation
            assert {told.name for told in family.samples} <= {
                family.name + ("_total" if family.type == "counter" else "")
            }
