"""Two dashboards: whether all is well, and what becomes of the tasks of some queues and types."""

from typing import Final

from tools.grafana.expressions import growth, quantile, quantiles, rate, total, whole
from tools.grafana.panels import Choice, Dashboard, Panel, Query, Row

BAD_IF_ANY: Final = (("green", None), ("red", 1.0))
KINDS: Final = 'queue=~"$queue", type=~"$type"'
FIRING: Final = 'alertstate="firing", alertname=~"Taskmill.*"'


def _now() -> Row:
    yes_no = {"0": "no", "1": "yes"}
    return Row(
        title="Now",
        panels=(
            Panel(
                title="PostgreSQL answers",
                queries=(Query(expr=whole("taskmill_system_up")),),
                kind="stat",
                width=4,
                steps=(("red", None), ("green", 1.0)),
                words=yes_no,
            ),
            Panel(
                title="Processes that do not answer",
                queries=(Query(expr='count(up{job="taskmill"} == 0) or vector(0)'),),
                kind="stat",
                width=4,
                steps=BAD_IF_ANY,
                note="Those that Prometheus knows and can't read.",
            ),
            Panel(
                title="Oldest due task",
                queries=(Query(expr=whole("taskmill_queue_oldest_due_seconds")),),
                unit="s",
                kind="stat",
                width=4,
                steps=(("green", None), ("orange", 60.0), ("red", 600.0)),
            ),
            Panel(
                title="Queues with a type that no worker runs",
                queries=(
                    Query(
                        expr=f"count({whole('taskmill_queue_unserved_types', 'queue')} > 0)"
                        " or vector(0)"
                    ),
                ),
                kind="stat",
                width=4,
                steps=BAD_IF_ANY,
            ),
            Panel(
                title="Live workers",
                queries=(Query(expr=whole("taskmill_workers_alive")),),
                kind="stat",
                width=4,
                steps=(("red", None), ("green", 1.0)),
            ),
            Panel(
                title="Webhooks whose endpoints fail",
                queries=(Query(expr=whole("taskmill_webhooks_failing")),),
                kind="stat",
                width=4,
                steps=(("green", None), ("orange", 1.0)),
            ),
        ),
    )


def _tasks(where: str = "") -> tuple[Panel, ...]:
    """Return the panels about how much is done, and how long it takes, of all tasks or of some."""
    failed = f'{where}, status="failed"' if where else 'status="failed"'
    failures = f"topk(10, {rate('taskmill_tasks_finished_total', 'queue', 'type', where=failed)})"
    ended = rate("taskmill_tasks_finished_total", "status", where=where)
    return (
        Panel(
            title="Created and ended, a second",
            queries=(
                Query(expr=rate("taskmill_tasks_created_total", where=where), legend="created"),
                Query(expr=ended, legend="{{status}}"),
            ),
            unit="ops",
        ),
        Panel(
            title="Failures by queue and type, a second",
            queries=(Query(expr=failures, legend="{{queue}} / {{type}}"),),
            unit="ops",
            is_stacked=True,
            note="The ten highest.",
        ),
        Panel(
            title="How long tasks wait",
            queries=quantiles("taskmill_task_wait_seconds", where),
            unit="s",
        ),
        Panel(
            title="How long attempts run",
            queries=quantiles("taskmill_task_run_seconds", where),
            unit="s",
        ),
    )


def _capacity() -> tuple[Panel, ...]:
    waiting = whole("taskmill_queue_tasks", "queue", where='status="new"')
    return (
        Panel(
            title="New tasks by queue",
            queries=(Query(expr=f"topk(10, {waiting})", legend="{{queue}}"),),
            is_stacked=True,
            note="The ten longest queues.",
        ),
        Panel(
            title="Slots",
            queries=(
                Query(expr=total("taskmill_worker_slots"), legend="there are"),
                Query(expr=total("taskmill_worker_running"), legend="in use"),
            ),
        ),
    )


def _trouble() -> Row:
    firing = f"sum by (alertname, severity) (ALERTS{{{FIRING}}})"
    return Row(
        title="Trouble",
        panels=(
            Panel(
                title="Alerts that fire",
                queries=(Query(expr=firing),),
                kind="table",
                note="The rules are in deploy/prometheus/alerts.yml.",
            ),
            Panel(
                title="Attempts that did not end well",
                queries=(
                    Query(expr=growth("taskmill_retries_scheduled_total"), legend="to be repeated"),
                    Query(
                        expr=growth("taskmill_tasks_rescued_total", "outcome"),
                        legend="worker lost: {{outcome}}",
                    ),
                    Query(expr=growth("taskmill_tasks_expired_total"), legend="expired"),
                    Query(expr=growth("taskmill_finishes_refused_total"), legend="too late"),
                ),
            ),
            Panel(
                title="What was refused",
                queries=(
                    Query(
                        expr=growth("taskmill_messages_rejected_total", "status"),
                        legend="message: {{status}}",
                    ),
                    Query(
                        expr=growth("taskmill_http_requests_limited_total", "limited_by"),
                        legend="too many requests: {{limited_by}}",
                    ),
                    Query(
                        expr=growth("taskmill_quotas_exceeded_total", "quota"),
                        legend="quota: {{quota}}",
                    ),
                    Query(
                        expr=growth(
                            "taskmill_schedule_ticks_total", "outcome", where='outcome="refused"'
                        ),
                        legend="ticks of schedules",
                    ),
                ),
            ),
        ),
    )


OVERVIEW: Final = Dashboard(
    name="overview",
    title="overview",
    description="Whether all is well: how much is done, how long it takes, what fails.",
    rows=(_now(), Row(title="Tasks", panels=(*_tasks(), *_capacity())), _trouble()),
)


def _by_queue() -> Row:
    queue = 'queue=~"$queue"'
    return Row(
        title="By queue",
        panels=(
            Panel(
                title="Tasks by status",
                queries=(
                    Query(
                        expr=whole(
                            "taskmill_queue_tasks",
                            "queue",
                            "status",
                            where=f'{queue}, status=~"new|in_progress"',
                        ),
                        legend="{{queue}}: {{status}}",
                    ),
                ),
            ),
            Panel(
                title="Oldest due task",
                queries=(
                    Query(
                        expr=whole("taskmill_queue_oldest_due_seconds", "queue", where=queue),
                        legend="{{queue}}",
                    ),
                ),
                unit="s",
            ),
            Panel(
                title="Workers, and what they do not run",
                queries=(
                    Query(
                        expr=whole("taskmill_queue_workers", "queue", where=queue),
                        legend="{{queue}}: workers",
                    ),
                    Query(
                        expr=whole("taskmill_queue_unserved_types", "queue", where=queue),
                        legend="{{queue}}: types without a worker",
                    ),
                    Query(
                        expr=whole("taskmill_queue_paused", "queue", where=queue),
                        legend="{{queue}}: paused",
                    ),
                ),
            ),
            Panel(
                title="How long 19 of 20 tasks wait",
                queries=(
                    Query(
                        expr=quantile(0.95, "taskmill_task_wait_seconds", "queue", where=KINDS),
                        legend="{{queue}}",
                    ),
                ),
                unit="s",
            ),
            Panel(
                title="Expired",
                queries=(
                    Query(
                        expr=growth("taskmill_tasks_expired_total", "queue", where=queue),
                        legend="{{queue}}",
                    ),
                ),
            ),
        ),
    )


def _by_type() -> Row:
    return Row(
        title="By type",
        panels=(
            Panel(
                title="Ended, a second",
                queries=(
                    Query(
                        expr=rate("taskmill_tasks_finished_total", "type", where=KINDS),
                        legend="{{type}}",
                    ),
                ),
                unit="ops",
                is_stacked=True,
            ),
            Panel(
                title="How long 19 of 20 attempts run",
                queries=(
                    Query(
                        expr=quantile(0.95, "taskmill_task_run_seconds", "type", where=KINDS),
                        legend="{{type}}",
                    ),
                ),
                unit="s",
            ),
            Panel(
                title="Attempts to be repeated, or handed back",
                queries=(
                    Query(
                        expr=rate("taskmill_retries_scheduled_total", "type", where=KINDS),
                        legend="{{type}}: to be repeated",
                    ),
                    Query(
                        expr=rate(
                            "taskmill_tasks_handed_back_total", "type", "reason", where=KINDS
                        ),
                        legend="{{type}}: {{reason}}",
                    ),
                ),
                unit="ops",
            ),
        ),
    )


QUEUES: Final = Dashboard(
    name="queues",
    title="queues and types",
    description="What becomes of the tasks of some queues and types, and how long it takes.",
    choices=(
        Choice(label="queue", metric="taskmill_queue_tasks"),
        Choice(label="type", metric='taskmill_tasks_created_total{queue=~"$queue"}'),
    ),
    rows=(Row(title="Tasks", panels=_tasks(KINDS)), _by_queue(), _by_type()),
)
