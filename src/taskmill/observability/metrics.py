"""What the parts of a process count, and the exposition of all metrics in Prometheus' text format.

Counters are incremented elsewhere; here are their names and meanings. Those of tasks are in `flow`, those of the
whole system, read from PostgreSQL, in `system`. It serves nothing; `admin` and the API do.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric

from taskmill.observability.catalogue import REGISTRY, Section

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

# Seconds: of one step within a process, or to a server nearby.
_STEPS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

_relay = Section(
    "The relay",
    reported_by="relay",
    notes="""\
When `taskmill_hints_failed_total` grows steadily, the broker takes no hints, or takes them too slowly. Workers
then find tasks by polling.
""",
)
HINTS_PUBLISHED: Final = _relay.counter(
    "hints_published_total", "Hint messages handed to the broker"
)
HINTS_CONFIRMED: Final = _relay.counter(
    "hints_confirmed_total", "Hint messages the broker confirmed"
)
HINTS_FAILED: Final = _relay.counter(
    "hints_failed_total",
    "Hint messages that were not confirmed: the broker was slow, refused them or went away",
)

_worker = Section(
    "The worker",
    reported_by="worker",
    notes="""\
When `taskmill_handlers_lingering` grows, a handler swallows `CancelledError`, or cleans up for ever.
`handler.abandoned` in the log names the tasks.
""",
)
WORKER_SLOTS: Final = _worker.reading(
    "worker_slots", "Tasks that the workers of this process can run at once"
)
WORKER_RUNNING: Final = _worker.reading(
    "worker_running", "Tasks that the workers of this process run now"
)
HINTS_RECEIVED: Final = _worker.counter("hints_received_total", "Hint messages that workers got")
HINTS_REDELIVERED: Final = _worker.counter(
    "hints_redelivered_total", "Hint messages that workers got marked as redelivered"
)
HANDLERS_ABANDONED: Final = _worker.counter(
    "handlers_abandoned_total", "Handlers that did not stop when asked to, and lost their attempt"
)
HANDLERS_LINGERING: Final = _worker.gauge(
    "handlers_lingering", "Abandoned handlers that still run, outside of any slot"
)

_task_logs = Section(
    "Task logs",
    reported_by="worker; api, of workers that pull over HTTP",
    notes="""\
`reason` is `claim_full` (over the limits of one claim, as the task's lines or the API's response say), or one of
[`task_log.dropped`](../operations/log-events.md#what-handlers-log).
""",
)
TASK_LOG_STORED: Final = _task_logs.counter(
    "task_log_lines_stored_total", "Lines of handlers that were stored with their task"
)
TASK_LOG_DROPPED: Final = _task_logs.counter(
    "task_log_lines_dropped_total",
    "Lines of handlers that were not stored, by the reason",
    "reason",
)

_feed = Section(
    "The feed",
    reported_by="api, of those who follow it; relay, of what it publishes",
    notes="""\
`reason` is `gone` (the client left), `slow` (it was too far behind), `stopping` (the server), `forgotten` (what
follows is no longer retained), or `other` (its time was up, or it read nothing). How far numbering is behind is
among the metrics of [the whole system](#the-whole-system).
""",
)
FEED_STREAMS: Final = _feed.gauge("feed_streams", "Clients of `GET /events` that are connected now")
FEED_STREAMS_ENDED: Final = _feed.counter(
    "feed_streams_ended_total", "Streams that ended, by the reason", "reason"
)
FEED_WATCHES: Final = _feed.gauge("feed_watches", "Requests with `Prefer: wait` that wait now")
FEED_READ: Final = _feed.counter(
    "feed_changes_read_total", "Changes that the shared reader passed on"
)
FEED_PUBLISHED: Final = _feed.counter(
    "feed_changes_published_total",
    "Changes that queues at the broker took, repeated ones included",
)
FEED_RETURNED: Final = _feed.counter(
    "feed_changes_returned_total",
    "Changes that came back, since no queue is bound for them; most of these are not even published",
)

_pull = Section(
    "Workers that pull over HTTP",
    reported_by="api; attempts that ran too long by maintenance",
    notes="Their tasks and leases are counted with those of all workers.",
)
PULLS_WAITING: Final = _pull.reading(
    "pulls_waiting", "Calls of `POST /leases` that wait for tasks now"
)
PULLS_RETURNED: Final = _pull.tally(
    "pulls_returned_total",
    "Leases whose tasks were handed back at once, since the client had left, or the claim's result was lost",
)
PULLS_TIMED_OUT: Final = _pull.tally(
    "pulls_timed_out_total",
    "Attempts that maintenance ended because they ran longer than their `timeout_s`",
)

_intake = Section("The intake", reported_by="intake")
MESSAGES_CONSUMED: Final = _intake.counter(
    "messages_consumed_total", "Creation messages taken from the broker, redelivered ones included"
)
MESSAGES_REDELIVERED: Final = _intake.counter(
    "messages_redelivered_total", "Creation messages that were marked as redelivered"
)
MESSAGES_CREATED: Final = _intake.counter(
    "messages_created_total", "Creation messages that created a task"
)
MESSAGES_REPLAYED: Final = _intake.counter(
    "messages_replayed_total", "Creation messages whose task existed already"
)
MESSAGES_REJECTED: Final = _intake.counter(
    "messages_rejected_total", "Creation messages refused, by the status of the problem", "status"
)
MESSAGES_REPLIED: Final = _intake.counter(
    "messages_replied_total", "Replies to creation messages that were handed to the broker"
)

_broker = Section("The broker", reported_by="every process that has a connection to it")
BROKER_UP: Final = _broker.gauge(
    "broker_up",
    "1 while a connection to the broker is up, else 0, by the connection's name in this program",
    "link",
)

_database = Section(
    "The database",
    reported_by="every process",
    notes="""\
`pool` is `hot` (the statements that every task goes through) or `listing` (lists); a process has [so many
connections](settings.md#database) of each.
""",
)
POOL_SIZE: Final = _database.reading(
    "database_pool_connections_max", "Connections that the pool may have", "pool"
)
POOL_USED: Final = _database.reading(
    "database_pool_connections_used", "Connections that are in use now", "pool"
)
POOL_WAITING: Final = _database.reading(
    "database_pool_waiting", "Statements that wait for a connection now", "pool"
)
POOL_WAIT: Final = _database.histogram(
    "database_pool_wait_seconds",
    "How long statements waited until they had a connection, a new one if need be",
    "pool",
    bounds=_STEPS,
)
STATEMENTS_FAILED: Final = _database.tally(
    "database_failures_total",
    "Failures that are no statement's fault: `outage` (away, starting, full), `no_connection` (none was free in "
    "time), `timeout` (the statement's time was up), `collision` (a deadlock, tried again)",
    "cause",
    known=(("outage",), ("no_connection",), ("timeout",), ("collision",)),
)

_batches = Section(
    "Batches",
    reported_by="every process, of the batches that it makes",
    notes="""\
`batch` is `create` (tasks of requests and messages), `create_all` (all or nothing, as `POST
/tasks/batch` has it), `read` (tasks by id), `claim`, `finish`, `intake` (messages), or `deliveries` (tries). Work
that arrives at the same time shares one statement and one commit; under low load, batches have one item.
""",
)
BATCH_ITEMS: Final = _batches.histogram(
    "batch_items", "How many items shared a statement", "batch", bounds=_SIZES
)
BATCH_TIME: Final = _batches.histogram(
    "batch_duration_seconds",
    "How long a batch took from its flush to its result, retries included",
    "batch",
    bounds=_STEPS,
)

_http = Section(
    "Requests",
    reported_by="api",
    notes="""\
`route` is the path as in the [reference](http.md) (`/tasks/{id}`), and `_other` for files and unknown paths;
`status` is a class (`2xx`), and `gone` when the client left before its request was complete.
""",
)
REQUESTS: Final = _http.tally(
    "http_requests_total", "Requests that got a response", "method", "route", "status"
)
REQUEST_TIME: Final = _http.histogram(
    "http_request_duration_seconds",
    "How long responses took, to the last byte handed to the network",
    "method",
    "route",
    bounds=_STEPS,
)
REQUESTS_IN_FLIGHT: Final = _http.reading(
    "http_requests_in_flight", "Requests that are being handled now"
)

_connections = Section(
    "Connections",
    reported_by="api; every process with an admin port",
    notes="""\
`server` is `api` or `admin`. `reason` is `all` (the limit on all connections is reached: the one that has been
idle for the longest, or the new one), `address` (one address has too many incomplete requests), `slow_handshake`
(of TLS), `slow_head` or `slow_body` (a request that does not arrive in time), `slow_response` (a client that does
not read its response). The limits are [settings](settings.md#api).
""",
)
CONNECTIONS: Final = _connections.reading(
    "http_connections", "Connections that are open now", "server"
)
CONNECTIONS_UNFINISHED: Final = _connections.reading(
    "http_connections_unfinished",
    "Connections with an incomplete request",
    "server",
)
BODY_BYTES: Final = _connections.reading(
    "http_body_bytes",
    "Memory of bodies over 64 KiB whose requests are being read or handled (api)",
)
CONNECTIONS_LIMITED: Final = _connections.tally(
    "http_connections_limited_total",
    "Connections that were closed or refused because of a limit, by the reason",
    "server",
    "reason",
)
REQUESTS_LIMITED: Final = _connections.tally(
    "http_requests_limited_total",
    "Requests that got a 429 because their `key` or their `address` had sent too many (api)",
    "limited_by",
    known=[("key",), ("address",)],
)
QUOTAS_EXCEEDED: Final = _connections.tally(
    "quotas_exceeded_total",
    "Requests that were refused because their API key had reached a quota (api)",
    "quota",
)
FORWARDED_IGNORED: Final = _connections.tally(
    "http_forwarded_ignored_total",
    "Requests of trusted proxies whose `Forwarded` headers were ignored, at least in part: `malformed`, or "
    "`conflicting` with `X-Forwarded-For` (api)",
    "reason",
)
HANDSHAKES_FAILED: Final = _connections.tally(
    "tls_handshakes_failed_total",
    "Connections that ended because client and API do not agree on TLS (api)",
    known=((),),
)
CERTIFICATE_EXPIRES: Final = _connections.reading(
    "tls_certificate_expires_timestamp_seconds",
    "When the certificate of the API expires, in Unix time; 0 without TLS (api)",
)

_process = Section(
    "The process itself",
    reported_by="every process",
    notes="""\
Also `process_*` (processor time, memory, file descriptors; Linux), `python_info`, and `python_gc_*`, as
Prometheus' Python library exposes them.
""",
)
BUILD: Final = _process.gauge(
    "build_info", "1, with the version and the roles of the process", "version", "roles"
)
LOOP_LAG: Final = _process.histogram(
    "event_loop_lag_seconds",
    "How late the event loop ran something that was due, measured twice a second",
    bounds=_STEPS,
)
DUTY_ROUNDS: Final = _process.tally(
    "duty_rounds_total",
    "Rounds of periodic duties (`rescue`, `expiry`, `drop-weeks`, …), by how they ended: `done` or `failed`",
    "duty",
    "outcome",
)


def exposition(beside: Iterable[Metric] = ()) -> bytes:
    """Return all metrics, and those `beside` them, in the format of `CONTENT_TYPE`."""
    return generate_latest(REGISTRY) + generate_latest(_Beside(beside))


class _Beside:
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
