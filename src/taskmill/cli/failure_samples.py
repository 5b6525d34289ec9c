"""Renders for people what the tasks of a kind of failures have in common, and one of them as an example."""

from collections.abc import Iterable, Iterator

from taskmill.cli import show
from taskmill.cli.show import Cell
from taskmill.client.views.failure_samples import (
    DifferenceView,
    FailureExampleView,
    FailureSampleView,
)
from taskmill.client.views.failures import CountOf

_NOTHING = "-"


def sample_lines(sample: FailureSampleView) -> Iterator[tuple[Cell, ...]]:
    """Yield the lines of a sample, and those of its example."""
    yield ()
    if sample.example is None:
        yield ("no task is still failed in this way",)
        return
    tasks = len(sample.tasks)
    yield (show.strong(f"The newest {tasks:,} that are still failed"),)
    yield from _counted("message", sample.messages, tasks)
    yield from _counted("worker", sample.workers, tasks)
    yield from _counted("version", sample.versions, tasks)
    for one in sample.labels:
        share = f"{one.failed:.0%} instead of {one.succeeded:.0%} of {sample.succeeded:,} that succeeded"
        yield show.labelled("label", f"{one.key}={one.value}", show.dim(share))
    yield from _example_lines(sample.example, tasks)


def _counted(label: str, counts: Iterable[CountOf], tasks: int) -> Iterator[tuple[Cell, ...]]:
    for one in counts:
        yield show.labelled(label, one.name or _NOTHING, show.dim(f"{one.tasks / tasks:.0%}"))


def _example_lines(example: FailureExampleView, tasks: int) -> Iterator[tuple[Cell, ...]]:
    task = example.task
    yield ()
    yield (show.strong(f"Example {example.number:,} of {tasks:,}"), str(task.id))
    yield show.labelled("type", task.type, show.dim(f"queue {task.queue}"))
    if task.finished_at is not None:
        yield show.labelled("failed", show.age(task.finished_at))
    yield show.labelled("error", task.message or _NOTHING)
    if example.older_id is not None:
        yield show.labelled("older", str(example.older_id))
    if example.success_id is None:
        yield show.labelled(
            "payload", show.dim("no task of its type has succeeded to compare with")
        )
        return
    yield show.labelled("payload", show.dim("beside that of"), str(example.success_id))
    yield from _difference_lines(example.differences or (), is_cut=example.is_cut)


def _difference_lines(
    differences: Iterable[DifferenceView], *, is_cut: bool
) -> Iterator[tuple[Cell, ...]]:
    for one in differences:
        here, there = (value or _NOTHING for value in (one.here, one.there))
        yield ("  " + (one.pointer or "/"), show.failure(here), show.good(there))
    if is_cut:
        yield (show.dim("  and more"),)
