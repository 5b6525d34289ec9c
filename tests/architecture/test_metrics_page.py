"""The reference page of metrics is generated from the declarations, and every declared metric is exported."""

from collections.abc import Iterator

from scripts.metrics_page import PAGE, page
from taskmill.domain.figures import DatabaseFigures, DeliveryFigures, QueueFigures, SystemFigures
from taskmill.domain.lifecycle import Status
from taskmill.observability import metrics
from taskmill.observability.catalogue import SECTIONS, Description
from taskmill.observability.system import system_metrics
from tests.support.every import every
from tests.support.exposition import Page

FIGURES = SystemFigures(
    queues=[
        QueueFigures(
            name="default",
            counts={Status.NEW: 1},
            is_paused=False,
            oldest_due_s=0.5,
            workers=1,
            unserved_types=0,
        )
    ],
    workers=1,
    slots=10,
    database=DatabaseFigures(
        overdue_leases=0, unnumbered=0, unnumbered_s=0.0, snapshot_s=0.0, xmin_age=0
    ),
    deliveries=DeliveryFigures(waiting=0, late_s=0.0, unread_s=0.0),
    lags_s={"rabbitmq": 0.0},
    partitions=6,
    weeks_ahead=4,
)


def declared() -> Iterator[Description]:
    page()
    for section in SECTIONS:
        yield from section.metrics


def test_the_page_matches_the_declarations() -> None:
    assert PAGE.read_text(encoding="utf-8") == page().rstrip("\n") + "\n", (
        "run `python scripts/metrics_page.py`"
    )


def test_all_declared_metrics_are_exported_and_no_others() -> None:
    exported = Page(metrics.exposition(system_metrics(FIGURES)).decode())
    assert exported.declared_kinds() == {metric.name: metric.kind for metric in declared()}
    assert exported.faults() == []


def test_labels_are_exported_as_declared() -> None:
    labels = {metric.name: set(metric.labels) for metric in declared()}
    for family in Page(metrics.exposition(system_metrics(FIGURES)).decode()).families:
        name = family.name + ("_total" if family.type == "counter" else "")
        for sample in family.samples if name in labels else ():
            assert set(sample.labels) - {"le"} == labels[name]


@every("metric", [*declared()])
def test_a_name_has_the_measured_thing_and_its_unit(metric: Description) -> None:
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.meaning[0].isupper() or metric.meaning[0].isdigit()
    assert not metric.meaning.endswith(".")
    assert metric.unit in {"number", "seconds", "bytes", "transactions"}
