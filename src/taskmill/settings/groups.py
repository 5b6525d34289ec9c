"""The groups of settings: names, defaults and bounds of what can be tuned. `outgoing` has two more."""

import os
import socket

from pydantic import Field, model_validator

from taskmill.settings.group import Group
from taskmill.settings.values import (
    MOST,
    Count,
    Names,
    PathPrefix,
    Seconds,
    SecondsOrZero,
    TaskLogLevel,
    Weights,
)


class DashboardSettings(Group):
    """The pages for people."""

    enabled: bool = Field(
        True,  # noqa: FBT003 - pydantic's own
        description="serve the dashboard at `/`; without it `/` leads to `/docs`",
    )
    path_prefix: PathPrefix = Field(
        "",
        description="path below which a proxy publishes the API, such as `/taskmill`; the proxy takes it "
        "off again",
    )


class LimitSettings(Group):
    """What a request may ask for; beyond it the answer is 413 or 422."""

    body_bytes: Count = Field(1024**2, description="largest body of a request")
    batch_bytes: Count = Field(32 * 1024**2, description="largest body of `POST /tasks/batch`")
    batch_items: Count = Field(10_000, description="most tasks in an array")
    labels: Count = Field(64, description="most labels of a task")
    result_bytes: Count = Field(
        1024**2, description="largest result; a larger one fails the task with `ResultTooLarge`"
    )
    idempotency_key_chars: Count = Field(255, description="longest idempotency key")
    queues: Count = Field(
        1000,
        description="most queues that tasks make by naming them; 100 more can be made by hand "
        "(`taskmill queue pause NAME`). One that was empty for a day goes",
    )
    unserved_types: Count = Field(
        500, description="most types that wait without a contract and without a live worker"
    )
    request_timeout_s: Seconds = Field(5.0, description="when a request is given up with 503")


class DatabaseSettings(Group):
    """How PostgreSQL is used."""

    pool_size: Count = Field(8, description="connections for the hot statements, each process")
    listing_pool_size: Count = Field(4, description="connections for lists, each process")
    statement_timeout_s: float = Field(
        10.0,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="longest statement, and on PostgreSQL 17 and later longest transaction",
    )
    connect_timeout_s: Seconds = Field(5.0, description="longest wait for a connection")


class EmulationSettings(Group):
    """How tasks are emulated when their payload does not say."""

    delay_min_s: SecondsOrZero = Field(5.0, description="shortest run")
    delay_max_s: SecondsOrZero = Field(10.0, description="longest run")
    failure_probability: float = Field(0.2, ge=0, le=1, description="share of runs that fail")
    types: Names = Field((), description="types to emulate beside `emulate`; `*` for all")

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> "EmulationSettings":
        if self.delay_min_s > self.delay_max_s:
            raise ValueError("expected delay_min_s to be at most delay_max_s")
        return self


class LeaseSettings(Group):
    """How long a silent worker keeps its tasks."""

    ttl_s: float = Field(
        15.0,
        ge=1,
        le=MOST,
        allow_inf_nan=False,
        description="how long a worker that says nothing keeps its tasks. It is renewed every third of that. "
        "Give it to workers and maintenance alike",
    )


def _worker_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerSettings(Group):
    """What a worker process takes."""

    name: str = Field(
        default_factory=_worker_name,
        min_length=1,
        max_length=200,
        description="what logs, history and `taskmill worker list` call it",
    )
    app: str | None = Field(
        None,
        min_length=1,
        description="`module:name` of the app whose task types it runs; from the folder that it is started in",
    )
    concurrency: int = Field(
        1000, ge=1, le=50_000, description="tasks that run at once in the event loop of one process"
    )
    threads: int = Field(
        50, ge=1, le=5000, description="tasks of plain functions that run at once in one process"
    )
    isolated: int = Field(
        default_factory=_processors,
        ge=1,
        le=1000,
        description="tasks that run at once in processes of their own",
    )
    queues: Weights = Field(
        {},
        description="queues to serve, with weights if they are not alike: `mail=3,reports` takes from `mail` "
        "three times as often while both have tasks that wait; empty for all",
    )
    exclusive_types: Names = Field(
        (),
        description="types (`*` for all) whose handlers are stopped as soon as the worker's lease could have "
        "ended, as when the database is away for longer than the lease; others go on, and only "
        "their result is refused",
    )
    grace_s: SecondsOrZero = Field(
        10.0, description="time that handlers get to end when the worker is told to stop"
    )
    stop_timeout_s: float = Field(
        1.0,
        gt=0,
        le=60,
        allow_inf_nan=False,
        description="time that a handler gets to stop when its attempt is over (timeout, cancel, lost lease, "
        "grace time); then it is abandoned",
    )
    blocked_s: float = Field(
        1.0,
        ge=0.3,
        le=MOST,
        allow_inf_nan=False,
        description="a handler that blocks the event loop for longer is named in a warning",
    )
    poll_s: Seconds = Field(
        0.25,
        description="how often an idle worker looks when no notifier rings; where notifiers are heard and nothing "
        "has happened for 2 s, every 3 s",
    )
    claim_size: Count = Field(
        500, description="most tasks in one claim, and in one flush of finishes"
    )

    @property
    def longest_stop_s(self) -> float:
        """The time that a worker needs to stop when its handlers won't: they are told to, and told again."""
        return self.grace_s + 2 * self.stop_timeout_s


class TaskLogSettings(Group):
    """What is kept of what handlers log."""

    level: TaskLogLevel = Field("info", description="least level that is kept; `off` for none")
    claim_lines: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="most lines of one claim; one more says how many were left out",
    )
    claim_bytes: Count = Field(
        256 * 1024, description="most bytes of one claim's messages and fields"
    )
    message_chars: Count = Field(
        8000, description="longest message; a longer one is cut and ends in `…`"
    )
    fields_bytes: int = Field(
        4096,
        ge=256,
        le=MOST,
        description="most bytes of one line's fields; long values are cut, then fields left out",
    )
    waiting_bytes: Count = Field(
        16 * 1024**2,
        description="most memory of a worker for lines that are not yet stored; beyond it new ones are dropped",
    )


class RetrySettings(Group):
    """The retry policy of a task that brings none.

    It is `base_s * factor ** (attempt - 1)`, at most `max_s`.
    """

    base_s: SecondsOrZero = Field(1.0, description="wait before the second attempt")
    factor: float = Field(2.0, ge=1, le=100, description="growth of the wait")
    max_s: SecondsOrZero = Field(3600.0, description="longest wait")
    jitter: float = Field(
        0.1, ge=0, le=1, description="the wait is spread by ± this part of itself"
    )


class RetentionSettings(Group):
    """How long things are kept."""

    tasks_days: int = Field(
        365,
        ge=1,
        le=380,
        description="days to keep ended tasks and their history. A week goes as a whole, once all its tasks "
        "have ended",
    )
    change_days: int = Field(
        7,
        ge=1,
        le=380,
        description="days to keep changes for those who follow them; a cursor from before is refused with 410",
    )
    rejection_days: int = Field(30, ge=1, le=380, description="days to keep refused messages")
    idempotency_days: int = Field(7, ge=1, le=380, description="days that an idempotency key holds")


class MaintenanceSettings(Group):
    """How often maintenance looks."""

    interval_s: Seconds = Field(
        1.0,
        description="pause between rounds of rescue, folding counters and rolling up what happened",
    )
    numbering_s: Seconds = Field(
        0.1,
        description="pause between looks for changes that have no position yet: until then nobody who follows "
        "hears of them. While nothing happens it is longer: changes are told of",
    )


class FeedSettings(Group):
    """How changes are told to those who follow them."""

    streams: Count = Field(
        1000,
        description="most streams of `GET /events` in one API process, and as many held answers to "
        "`Prefer: wait`; a further stream is answered with 503, a further read at once",
    )
    # What is read at once, up to a thousand, must find room in a stream that keeps up.
    buffer: int = Field(
        10_000,
        ge=1000,
        le=MOST,
        description="how many changes a stream may be behind before it is ended, to be resumed",
    )
    heartbeat_s: Seconds = Field(15.0, description="longest silence of a stream")
    stream_s: Seconds = Field(
        3600.0,
        description="when a stream is ended, to be resumed: so that streams spread over API processes that "
        "came later",
    )
    wait_s: Seconds = Field(60.0, description="longest that `Prefer: wait` holds an answer")
    publish: bool = Field(
        default=True,
        description="whether relays publish changes to RabbitMQ; the same for all of them",
    )
    source: str = Field(
        "/taskmill",
        min_length=1,
        max_length=200,
        description="`source` of the published events: give each Taskmill its own where one consumer hears "
        "several",
    )


class PullSettings(Group):
    """What workers that pull over HTTP may ask for; what is beyond is cut to it."""

    tasks: int = Field(100, ge=1, le=1000, description="most tasks of one lease")
    answer_bytes: Count = Field(
        32 * 2**20,
        description="most bytes that the payloads of one lease have together; a lease has one task at least",
    )
    ttl_s: float = Field(
        30.0,
        ge=1,
        le=MOST,
        allow_inf_nan=False,
        description="how long a lease lives without a renewal when its worker names no time",
    )
    longest_ttl_s: float = Field(
        600.0,
        ge=1,
        le=MOST,
        allow_inf_nan=False,
        description="longest that a worker may ask for: so long a dead one keeps its tasks",
    )
    wait_s: SecondsOrZero = Field(60.0, description="longest that `POST /leases` waits for a task")
    waiting: Count = Field(
        1000, description="most calls that wait in one API process; what is beyond is answered 503"
    )
    poll_s: Seconds = Field(
        0.5,
        description="how often an API process looks for tasks while calls wait and nothing wakes it",
    )


class MetricsSettings(Group):
    """What metrics tell."""

    kinds: Count = Field(
        200,
        description="pairs of queue and type, and queues, that have series of their own in a process's metrics; "
        "all others share `_other`",
    )
