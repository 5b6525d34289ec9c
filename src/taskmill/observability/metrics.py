"""What this process counts about itself, in one registry of its own, in Prometheus' text format.

Counters live where they are counted up; here are their names and meanings. No label takes a value from
outside (a queue, a type, an id): the number of series is known when the program is written.
It serves nothing; `admin` and the API do.
"""

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

__all__ = [
    "BROKER_UP",
    "CONTENT_TYPE",
    "HANDLERS_ABANDONED",
    "HANDLERS_LINGERING",
    "HINTS_CONFIRMED",
    "HINTS_FAILED",
    "HINTS_PUBLISHED",
    "HINTS_RECEIVED",
    "HINTS_REDELIVERED",
    "HINTS_RETURNED",
    "MESSAGES_CONSUMED",
    "MESSAGES_CREATED",
    "MESSAGES_REDELIVERED",
    "MESSAGES_REJECTED",
    "MESSAGES_REPLAYED",
    "MESSAGES_REPLIED",
    "REGISTRY",
    "TASKS_RELEASED",
    "TASKS_RELEASED_AGAIN",
    "TASK_LOG_DROPPED",
    "TASK_LOG_STORED",
    "WINDOW_TASKS",
    "exposition",
]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# The format has no place for them: they would be one more gauge for each counter.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own gap

REGISTRY: Final = CollectorRegistry(auto_describe=True)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"taskmill_{name}", meaning, labels, registry=REGISTRY)


# The relay.
TASKS_RELEASED: Final = _counter(
    "tasks_released_total", "Tasks marked as released to the broker, for the first time or again"
)
TASKS_RELEASED_AGAIN: Final = _counter(
    "tasks_released_again_total", "Tasks released again because their hint had expired unclaimed"
)
HINTS_PUBLISHED: Final = _counter("hints_published_total", "Hint messages handed to the broker")
HINTS_CONFIRMED: Final = _counter("hints_confirmed_total", "Hint messages the broker confirmed")
HINTS_RETURNED: Final = _counter(
    "hints_returned_total", "Hint messages the broker returned because no queue would take them"
)
HINTS_FAILED: Final = _counter(
    "hints_failed_total", "Hint messages that were not confirmed: the broker refused or went away"
)
WINDOW_TASKS: Final = Gauge(
    "taskmill_window_tasks",
    "Tasks released and neither claimed nor expired, over all queues, as the relay last counted them",
    registry=REGISTRY,
)

# The worker.
HINTS_RECEIVED: Final = _counter("hints_received_total", "Hint messages that workers got")
HINTS_REDELIVERED: Final = _counter(
    "hints_redelivered_total", "Hint messages that workers got marked as redelivered"
)
HANDLERS_ABANDONED: Final = _counter(
    "handlers_abandoned_total", "Handlers that did not stop when told to, and lost their attempt"
)
HANDLERS_LINGERING: Final = Gauge(
    "taskmill_handlers_lingering",
    "Abandoned handlers that still run, outside of any slot",
    registry=REGISTRY,
)

# Task logs.
TASK_LOG_STORED: Final = _counter(
    "task_log_lines_stored_total", "Lines of handlers that were stored with their task"
)
TASK_LOG_DROPPED: Final = _counter(
    "task_log_lines_dropped_total",
    "Lines of handlers that were not stored, by the reason",
    "reason",
)

# The intake.
MESSAGES_CONSUMED: Final = _counter(
    "messages_consumed_total", "Creation messages taken from the broker, redelivered ones included"
)
MESSAGES_REDELIVERED: Final = _counter(
    "messages_redelivered_total", "Creation messages that came marked as redelivered"
)
MESSAGES_CREATED: Final = _counter(
    "messages_created_total", "Creation messages that made a new task"
)
MESSAGES_REPLAYED: Final = _counter(
    "messages_replayed_total", "Creation messages whose task was there already"
)
MESSAGES_REJECTED: Final = _counter(
    "messages_rejected_total", "Creation messages refused, by the status of the problem", "status"
)
MESSAGES_REPLIED: Final = _counter(
    "messages_replied_total", "Replies to creation messages that were handed to the broker"
)

# Everyone who has a connection to the broker.
BROKER_UP: Final = Gauge(
    "taskmill_broker_up",
    "1 while a connection to the broker is up, else 0, by the connection's name in this program",
    ("link",),
    registry=REGISTRY,
)


def exposition() -> bytes:
    """Return all metrics as they are now, in the format that `CONTENT_TYPE` names."""
    return generate_latest(REGISTRY)
