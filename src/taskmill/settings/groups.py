"""The groups of settings: names, defaults and bounds of everything that can be tuned."""

import os
import socket

from pydantic import BaseModel, ConfigDict, Field, model_validator

from taskmill.settings.values import (
    Count,
    Hosts,
    Names,
    PathPrefix,
    Port,
    Seconds,
    SecondsOrZero,
    SigningKeys,
    TaskLogLevel,
    Weights,
)


class Group(BaseModel):
    """A frozen group of settings that knows all its names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiSettings(Group):
    """Where the API listens."""

    host: str = Field("127.0.0.1", description="address the API listens on")
    port: Port = Field(8000, description="port of the API; 0 picks a free one")
    stop_delay_s: SecondsOrZero = Field(
        0.0, description="how long a stopping API serves on, while /readyz says that it stops"
    )


class DashboardSettings(Group):
    """The pages for people."""

    enabled: bool = Field(True, description="serve the dashboard at /")  # noqa: FBT003 - pydantic's own
    path_prefix: PathPrefix = Field("", description="path below which a proxy publishes it")


class LimitSettings(Group):
    """What a request may ask for."""

    body_bytes: Count = Field(1024**2, description="largest body of one request")
    batch_bytes: Count = Field(32 * 1024**2, description="largest body of POST /tasks/batch")
    batch_items: Count = Field(10_000, description="most tasks in one batch")
    labels: Count = Field(64, description="most labels of a task")
    result_bytes: Count = Field(1024**2, description="largest result of a task")
    idempotency_key_chars: Count = Field(255, description="longest idempotency key")
    queues: Count = Field(1000, description="most queues")
    request_timeout_s: Seconds = Field(5.0, description="when a request is given up with 503")


class DatabaseSettings(Group):
    """How PostgreSQL is used."""

    pool_size: Count = Field(8, description="connections for the hot statements, per process")
    listing_pool_size: Count = Field(4, description="connections for lists, per process")
    statement_timeout_s: Seconds = Field(10.0, description="longest statement")
    connect_timeout_s: Seconds = Field(5.0, description="longest wait for a connection")


class EmulationSettings(Group):
    """How tasks are emulated when their payload does not say."""

    delay_min_s: SecondsOrZero = Field(5.0, description="shortest emulated run")
    delay_max_s: SecondsOrZero = Field(10.0, description="longest emulated run")
    failure_probability: float = Field(0.2, ge=0, le=1, description="share of runs that fail")
    types: Names = Field((), description="types without a handler to emulate; * for all")

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> "EmulationSettings":
        if self.delay_min_s > self.delay_max_s:
            raise ValueError("expected delay_min_s to be at most delay_max_s")
        return self


class LeaseSettings(Group):
    """How long a silent worker keeps its tasks."""

    ttl_s: float = Field(15.0, ge=1, allow_inf_nan=False, description="time to live of a lease")


def _worker_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerSettings(Group):
    """What a worker process takes."""

    name: str = Field(
        default_factory=_worker_name, min_length=1, max_length=200, description="name"
    )
    app: str | None = Field(
        None, min_length=1, description="module:name of the app whose task types it runs"
    )
    concurrency: int = Field(1000, ge=1, le=50_000, description="tasks that run at once")
    threads: int = Field(50, ge=1, le=5000, description="tasks of plain functions that run at once")
    isolated: int = Field(
        default_factory=_processors,
        ge=1,
        le=1000,
        description="tasks that run at once in processes of their own",
    )
    queues: Weights = Field(
        {}, description="queues to serve, with weights if wanted: a,b=3; empty for all"
    )
    exclusive_types: Names = Field(
        (), description="types stopped as soon as the lease could have ended; * for all"
    )
    grace_s: SecondsOrZero = Field(10.0, description="time to finish before tasks are handed back")
    patience_s: float = Field(
        1.0,
        gt=0,
        le=60,
        allow_inf_nan=False,
        description="time to stop before a handler is abandoned",
    )
    blocked_s: float = Field(
        1.0,
        ge=0.3,
        allow_inf_nan=False,
        description="a handler that blocks the loop for longer is named in a warning",
    )
    poll_s: Seconds = Field(0.25, description="pause between looks at an empty queue")
    claim_size: Count = Field(500, description="most tasks in one claim")

    @property
    def longest_stop_s(self) -> float:
        """The time that a worker needs to stop when its handlers won't: they are told to, and told again."""
        return self.grace_s + 2 * self.patience_s


class TaskLogSettings(Group):
    """What is kept of what handlers log."""

    level: TaskLogLevel = Field("info", description="least level that is kept; off for none")
    claim_lines: int = Field(1000, ge=1, le=1_000_000, description="most lines of one claim")
    claim_bytes: Count = Field(256 * 1024, description="most bytes of one claim's lines")
    message_chars: Count = Field(8000, description="longest message; what is longer is cut")
    fields_bytes: int = Field(4096, ge=256, description="most bytes of one line's fields")
    waiting_bytes: Count = Field(
        16 * 1024**2, description="most memory for lines that are not yet stored"
    )


class RetrySettings(Group):
    """The retry policy of a task that brings none."""

    base_s: SecondsOrZero = Field(1.0, description="delay before the second attempt")
    factor: float = Field(2.0, ge=1, allow_inf_nan=False, description="growth of the delay")
    max_s: SecondsOrZero = Field(3600.0, description="longest delay")
    jitter: float = Field(0.1, ge=0, le=1, description="random share of the delay")


class RetentionSettings(Group):
    """How long things are kept."""

    tasks_days: int = Field(365, ge=1, le=380, description="days to keep finished tasks")
    change_days: int = Field(7, ge=1, le=380, description="days to keep the change feed")
    rejection_days: int = Field(30, ge=1, le=380, description="days to keep refused messages")
    idempotency_days: int = Field(7, ge=1, le=380, description="days an idempotency key holds")


class MaintenanceSettings(Group):
    """How often maintenance looks."""

    interval_s: Seconds = Field(1.0, description="pause between rounds")
    numbering_s: Seconds = Field(0.1, description="pause between looks for new changes")


class FeedSettings(Group):
    """How changes are told to those who follow them."""

    streams: Count = Field(1000, description="most streams of one API process")
    # What is read at once, up to a thousand, must find room in a stream that keeps up.
    buffer: int = Field(10_000, ge=1000, description="changes that a stream may be behind")
    heartbeat_s: Seconds = Field(15.0, description="longest silence of a stream")
    stream_s: Seconds = Field(3600.0, description="when a stream ends, to be resumed")
    wait_s: Seconds = Field(60.0, description="longest that Prefer: wait may hold")
    publish: bool = Field(True, description="publish changes to RabbitMQ")  # noqa: FBT003 - pydantic's own
    source: str = Field(
        "/taskmill", min_length=1, max_length=200, description="source of published changes"
    )


class PullSettings(Group):
    """What workers that pull over HTTP may ask for."""

    tasks: int = Field(100, ge=1, le=1000, description="most tasks of one lease")
    ttl_s: float = Field(
        30.0, ge=1, allow_inf_nan=False, description="time to live of a lease that names none"
    )
    longest_ttl_s: float = Field(
        600.0, ge=1, allow_inf_nan=False, description="longest time to live of a lease"
    )
    wait_s: SecondsOrZero = Field(60.0, description="longest wait for a task")
    waiting: Count = Field(1000, description="most calls that wait for tasks, per process")
    poll_s: Seconds = Field(0.5, description="pause between looks while calls wait")


class MetricsSettings(Group):
    """What metrics tell."""

    kinds: Count = Field(200, description="pairs of queue and type with series of their own")


class OutboundSettings(Group):
    """How endpoints are called: by tasks of type http, and for webhooks."""

    allow: Hosts = Field((), description="networks and hosts to call though they are not public")
    signing_keys: SigningKeys = Field((), description="whsec_… to sign pushes and callbacks with")
    timeout_s: Seconds = Field(30.0, description="for a push whose payload does not say")
    answer_bytes: Count = Field(64 * 1024, description="most that is read of an answer's body")
    retry_after_s: Seconds = Field(3600.0, description="longest Retry-After that is kept to")
    connections: Count = Field(500, description="most connections of one process")
    connections_per_host: Count = Field(100, description="most connections to one host")


class WebhookSettings(Group):
    """How events are delivered to webhooks and callbacks."""

    limit: Count = Field(1000, description="most webhooks")
    timeout_s: Seconds = Field(15.0, description="when an endpoint that does not answer has failed")
    concurrency: int = Field(100, ge=2, description="deliveries that one process tries at once")
    concurrency_per_endpoint: Count = Field(8, description="of these, to one endpoint")
    retry_base_s: Seconds = Field(5.0, description="wait before the second try")
    retry_factor: float = Field(2.0, ge=1, allow_inf_nan=False, description="growth of the wait")
    retry_max_s: Seconds = Field(7200.0, description="longest wait between tries")
    give_up_s: Seconds = Field(86_400.0, description="when a delivery is given up")
    disable_s: Seconds = Field(
        259_200.0, description="when an endpoint that only fails is disabled"
    )
    keep_days: int = Field(7, ge=1, le=380, description="days to keep the log of deliveries")
