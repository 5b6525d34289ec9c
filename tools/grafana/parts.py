"""Two dashboards: what processes, PostgreSQL and RabbitMQ do, and what is delivered to whom."""

from typing import Final

from tools.grafana.expressions import growth, mean, quantile, quantiles, rate, total, whole
from tools.grafana.panels import Choice, Dashboard, Panel, Query, Row

HERE: Final = 'instance=~"$instance"'
# Of metrics that programs of others have, too.
OURS: Final = f'job="taskmill", {HERE}'


def _processes() -> Row:
    built = "count by (version, roles) (taskmill_build_info)"
    return Row(
        title="Processes",
        panels=(
            Panel(title="Versions and roles", queries=(Query(expr=built),), kind="table"),
            Panel(
                title="Memory",
                queries=(
                    Query(
                        expr=whole("process_resident_memory_bytes", "instance", where=OURS),
                        legend="{{instance}}",
                    ),
                ),
                unit="bytes",
            ),
            Panel(
                title="Processor time, of one core",
                queries=(
                    Query(
                        expr=rate("process_cpu_seconds_total", "instance", where=OURS),
                        legend="{{instance}}",
                    ),
                ),
                unit="percentunit",
            ),
            Panel(
                title="How late the event loop is, for one check in ten",
                queries=(
                    Query(
                        expr=quantile(
                            0.9, "taskmill_event_loop_lag_seconds", "instance", where=HERE
                        ),
                        legend="{{instance}}",
                    ),
                ),
                unit="s",
            ),
            Panel(
                title="Leases that are not renewed, or lost",
                queries=(
                    Query(
                        expr=growth("taskmill_lease_renewals_failed_total", "instance", where=HERE),
                        legend="{{instance}}: not renewed",
                    ),
                    Query(
                        expr=growth("taskmill_leases_lost_total", "instance", where=HERE),
                        legend="{{instance}}: lost",
                    ),
                    Query(expr=growth("taskmill_leases_expired_total"), legend="closed"),
                ),
            ),
            Panel(
                title="Duties that failed",
                queries=(
                    Query(
                        expr=growth("taskmill_duty_rounds_total", "duty", where='outcome="failed"'),
                        legend="{{duty}}",
                    ),
                ),
            ),
        ),
    )


def _database() -> Row:
    return Row(
        title="PostgreSQL",
        panels=(
            Panel(
                title="Connections in use",
                queries=(
                    Query(
                        expr=total(
                            "taskmill_database_pool_connections_used",
                            "instance",
                            "pool",
                            where=HERE,
                        ),
                        legend="{{instance}}: {{pool}}",
                    ),
                ),
            ),
            Panel(
                title="How long 19 of 20 statements wait for a connection",
                queries=(
                    Query(
                        expr=quantile(
                            0.95, "taskmill_database_pool_wait_seconds", "pool", where=HERE
                        ),
                        legend="{{pool}}",
                    ),
                ),
                unit="s",
            ),
            Panel(
                title="Failures",
                queries=(
                    Query(
                        expr=growth("taskmill_database_failures_total", "cause", where=HERE),
                        legend="{{cause}}",
                    ),
                ),
            ),
            Panel(
                title="How long a batch takes",
                queries=(
                    Query(
                        expr=quantile(0.95, "taskmill_batch_duration_seconds", "batch", where=HERE),
                        legend="{{batch}}",
                    ),
                ),
                unit="s",
            ),
            Panel(
                title="Items in a batch",
                queries=(Query(expr=mean("taskmill_batch_items", "batch"), legend="{{batch}}"),),
            ),
            Panel(
                title="Oldest snapshot",
                queries=(
                    Query(expr=whole("taskmill_database_oldest_snapshot_seconds"), legend="held"),
                ),
                unit="s",
            ),
            Panel(
                title="Weeks",
                queries=(
                    Query(expr=whole("taskmill_partitions_attached"), legend="attached"),
                    Query(expr=whole("taskmill_partitions_ahead"), legend="to come"),
                ),
            ),
        ),
    )


def _requests() -> Row:
    slow = "taskmill_http_request_duration_seconds"
    return Row(
        title="HTTP",
        panels=(
            Panel(
                title="Responses by status, a second",
                queries=(
                    Query(
                        expr=rate("taskmill_http_requests_total", "status", where=HERE),
                        legend="{{status}}",
                    ),
                ),
                unit="ops",
                is_stacked=True,
            ),
            Panel(
                title="How long 19 of 20 responses take",
                queries=(
                    Query(
                        expr=f"topk(10, {quantile(0.95, slow, 'method', 'route', where=HERE)})",
                        legend="{{method}} {{route}}",
                    ),
                ),
                unit="s",
                note="The ten slowest.",
            ),
            Panel(
                title="5xx by route",
                queries=(
                    Query(
                        expr=growth(
                            "taskmill_http_requests_total", "route", where=f'{HERE}, status="5xx"'
                        ),
                        legend="{{route}}",
                    ),
                ),
            ),
            Panel(
                title="Connections",
                queries=(
                    Query(
                        expr=total("taskmill_http_connections", "instance", where=HERE),
                        legend="{{instance}}",
                    ),
                    Query(
                        expr=growth(
                            "taskmill_http_connections_limited_total", "reason", where=HERE
                        ),
                        legend="closed or refused: {{reason}}",
                    ),
                ),
            ),
            Panel(
                title="What waits in the API",
                queries=(
                    Query(expr=total("taskmill_http_requests_in_flight"), legend="requests"),
                    Query(expr=total("taskmill_feed_streams"), legend="streams"),
                    Query(expr=total("taskmill_feed_watches"), legend="`Prefer: wait`"),
                    Query(expr=total("taskmill_pulls_waiting"), legend="pulls"),
                ),
            ),
            Panel(
                title="Time until the certificate expires",
                queries=(
                    Query(
                        expr="min(taskmill_tls_certificate_expires_timestamp_seconds > 0) - time()",
                        legend="certificate of the API",
                    ),
                ),
                unit="s",
            ),
        ),
    )


PROCESSES: Final = Dashboard(
    name="processes",
    title="processes",
    description="What processes use, how PostgreSQL answers them, and how they answer over HTTP.",
    choices=(Choice(label="instance", metric="taskmill_build_info"),),
    rows=(_processes(), _database(), _requests()),
)


def _broker() -> Row:
    return Row(
        title="RabbitMQ",
        panels=(
            Panel(
                title="Connections that are up",
                queries=(Query(expr=total("taskmill_broker_up", "link"), legend="{{link}}"),),
            ),
            Panel(
                title="Hints, a second",
                queries=(
                    Query(expr=rate("taskmill_hints_published_total"), legend="published"),
                    Query(expr=rate("taskmill_hints_confirmed_total"), legend="confirmed"),
                    Query(expr=rate("taskmill_hints_failed_total"), legend="failed"),
                    Query(expr=rate("taskmill_hints_received_total"), legend="received"),
                ),
                unit="ops",
            ),
            Panel(
                title="Creation messages, a second",
                queries=(
                    Query(expr=rate("taskmill_messages_created_total"), legend="new tasks"),
                    Query(expr=rate("taskmill_messages_replayed_total"), legend="repeated"),
                    Query(expr=rate("taskmill_messages_rejected_total"), legend="refused"),
                    Query(expr=rate("taskmill_messages_redelivered_total"), legend="redelivered"),
                ),
                unit="ops",
            ),
        ),
    )


def _feed() -> Row:
    return Row(
        title="Changes",
        panels=(
            Panel(
                title="How far numbering is behind",
                queries=(Query(expr=whole("taskmill_feed_unnumbered_seconds"), legend="behind"),),
                unit="s",
            ),
            Panel(
                title="How far followers are behind",
                queries=(
                    Query(
                        expr=whole("taskmill_feed_follower_lag_seconds", "follower"),
                        legend="{{follower}}",
                    ),
                ),
                unit="s",
            ),
            Panel(
                title="Changes read and published, a second",
                queries=(
                    Query(expr=rate("taskmill_feed_changes_read_total"), legend="to streams"),
                    Query(expr=rate("taskmill_feed_changes_published_total"), legend="to queues"),
                ),
                unit="ops",
            ),
        ),
    )


def _webhooks() -> Row:
    return Row(
        title="Webhooks and callbacks",
        panels=(
            Panel(
                title="Tries by outcome, a second",
                queries=(
                    Query(
                        expr=rate("taskmill_webhook_tries_total", "outcome"), legend="{{outcome}}"
                    ),
                ),
                unit="ops",
                is_stacked=True,
            ),
            Panel(
                title="Deliveries to be made",
                queries=(
                    Query(expr=whole("taskmill_webhook_deliveries_waiting"), legend="waiting"),
                    Query(expr=total("taskmill_webhook_tries_under_way"), legend="under way"),
                ),
            ),
            Panel(
                title="How late they are",
                queries=(
                    Query(
                        expr=whole("taskmill_webhook_deliveries_late_seconds"), legend="deliveries"
                    ),
                    Query(
                        expr=whole("taskmill_webhook_changes_unread_seconds"),
                        legend="changes to be read",
                    ),
                ),
                unit="s",
                note="Without what is due to endpoints that fail.",
            ),
            Panel(
                title="How long endpoints take",
                queries=quantiles("taskmill_webhook_try_duration_seconds"),
                unit="s",
            ),
            Panel(
                title="Given up, or disabled",
                queries=(
                    Query(expr=growth("taskmill_callbacks_given_up_total"), legend="callbacks"),
                    Query(expr=growth("taskmill_webhooks_disabled_total"), legend="webhooks"),
                ),
            ),
        ),
    )


def _schedules() -> Row:
    return Row(
        title="Schedules",
        panels=(
            Panel(
                title="Ticks by what became of them",
                queries=(
                    Query(
                        expr=growth("taskmill_schedule_ticks_total", "outcome"),
                        legend="{{outcome}}",
                    ),
                ),
                is_stacked=True,
            ),
            Panel(
                title="How late a tick makes its task",
                queries=quantiles("taskmill_schedule_lateness_seconds"),
                unit="s",
            ),
        ),
    )


DELIVERY: Final = Dashboard(
    name="delivery",
    title="delivery",
    description="Hints and messages at RabbitMQ, changes to followers, webhooks, schedules.",
    rows=(_broker(), _feed(), _webhooks(), _schedules()),
)
