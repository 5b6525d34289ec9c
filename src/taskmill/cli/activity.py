"""Prints what happened lately, for `taskmill stats --window`."""

from collections.abc import Iterator
from typing import Final

from taskmill.cli import show
from taskmill.client.views.activity import ActivityView, DurationsView, RatedFlowView
from taskmill.domain.lifecycle import EventType

# One column for each, in the order of a task's life; an expired task has failed.
_COUNTS: Final = {
    "CREATED": (EventType.CREATED, EventType.RUN_AGAIN),
    "CLAIMED": (EventType.CLAIMED,),
    "SUCCEEDED": (EventType.SUCCEEDED,),
    "FAILED": (EventType.FAILED, EventType.EXPIRED),
    "CANCELLED": (EventType.CANCELLED,),
    "RETRIED": (EventType.RETRY_SCHEDULED,),
    "BACK": (EventType.HANDED_BACK, EventType.LOST),
}
_TIMES: Final = ("WAIT P50", "WAIT P95", "WAIT P99", "RUN P50", "RUN P95", "RUN P99")
_NUMBERS: Final = (*_COUNTS, "CLAIMS/S", *_TIMES)


def print_activity(found: ActivityView) -> None:
    """Print a row for each queue and type, and one for all."""
    rows = [
        (queue.queue, type_.type, *_cells(type_)) for queue in found.queues for type_ in queue.types
    ]
    total = (show.strong("all"), "", *_cells(found.total))
    show.table(
        ("QUEUE", "TYPE", *_NUMBERS),
        [*rows, total],
        cut="QUEUE",
        dispensable=(
            *("BACK", "CANCELLED", "WAIT P99", "RUN P99", "RETRIED", "WAIT P95", "RUN P95"),
            *("CLAIMED", "RUN P50"),
        ),
        numbers=_NUMBERS,
    )
    show.line()
    step = show.duration(found.step_s)
    show.line(
        f"since {show.clock_time(found.since)}: a window of {found.window} begins with a step of {step}"
    )


def _cells(flow: RatedFlowView) -> Iterator[show.Cell]:
    for event_types in _COUNTS.values():
        count = sum(flow.counts[event_type] for event_type in event_types)
        yield f"{count:,}" if count else show.dim("0")
    yield f"{flow.per_second[EventType.CLAIMED]:,g}"
    yield from _times(flow.waiting)
    yield from _times(flow.running)


def _times(durations: DurationsView) -> Iterator[show.Cell]:
    for value in (durations.p50_s, durations.p95_s, durations.p99_s):
        yield show.dim("-") if value is None else latency(value)


def latency(seconds: float) -> str:
    """Show times under a second in ms: most waits are that short."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else show.duration(seconds)
