"""Metrics of deliveries to webhooks and callbacks."""

from typing import Final

from taskmill.observability.catalogue import Section

_TIMES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_webhooks = Section(
    "Webhooks",
    reported_by="webhooks",
    notes="""\
`outcome` is `delivered`, `postponed` (no response, or no success; it is tried again), or `failed` (for good:
its time was over, or its endpoint is gone). The log names the endpoint (`delivery.postponed`).
""",
)
CHANGES_FANNED_OUT: Final = _webhooks.tally(
    "webhook_changes_read_total", "Changes that were read for webhooks and callbacks"
)
DELIVERIES_MADE: Final = _webhooks.tally(
    "webhook_deliveries_made_total", "Deliveries that were created from them"
)
TRIES: Final = _webhooks.tally(
    "webhook_tries_total",
    "Tries to deliver, by how they ended",
    "outcome",
    known=(("delivered",), ("postponed",), ("failed",)),
)
TRY_TIME: Final = _webhooks.histogram(
    "webhook_try_duration_seconds", "How long endpoints took to respond", bounds=_TIMES
)
TRIES_UNDER_WAY: Final = _webhooks.reading(
    "webhook_tries_under_way", "Deliveries that are being tried now"
)
CALLBACKS_GIVEN_UP: Final = _webhooks.tally(
    "callbacks_given_up_total",
    "Callbacks that failed for good: the end of their task was not delivered",
)
WEBHOOKS_DISABLED: Final = _webhooks.tally(
    "webhooks_disabled_total", "Webhooks that were disabled because of their endpoint"
)
