"""The groups of settings: names, defaults and bounds of what can be tuned. `outgoing` has two more."""

import os
import socket
from pathlib import Path

from pydantic import Field, model_validator

from taskmill.domain.task_log import NOTHING, LineLevel
from taskmill.settings.group import Group
from taskmill.settings.values import (
    MOST,
    Count,
    DatabaseUrl,
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
        description="path below which a proxy publishes the API, such as `/taskmill`; the proxy removes "
        "it",
    )


class LogFileSettings(Group):
    """A file with all log lines, for several processes."""

    path: Path | None = Field(
        None,
        description="file for all lines, as JSON; standard error then has one line for each task, when it has "
        "ended, and no successful requests. `taskmill up` sets it to `taskmill.log` in its data folder",
    )
    max_bytes: Count = Field(
        16 * 1024**2,
        description="size at which the file is renamed to `PATH.1`, that to `PATH.2`, …",
    )
    files: int = Field(4, ge=2, le=1000, description="most files, the current one included")


class LimitSettings(Group):
    """Limits of a request; above them the response is 413 or 422."""

    body_bytes: Count = Field(1024**2, description="largest body of a request")
    batch_bytes: Count = Field(32 * 1024**2, description="largest body of `POST /tasks/batch`")
    batch_items: Count = Field(10_000, description="most tasks in an array")
    labels: Count = Field(64, description="most labels of a task")
    hops: Count = Field(
        5,
        description="how many webhooks, callbacks and pushes may have led to a request that creates tasks, as its "
        "`Taskmill-Hop` counts: more are taken for a loop",
    )
    result_bytes: Count = Field(
        1024**2, description="largest result; a larger one fails the task with `ResultTooLarge`"
    )
    idempotency_key_chars: Count = Field(255, description="longest idempotency key")
    queues: Count = Field(
        1000,
        description="most queues that tasks make by naming them; 100 more can be made by hand "
        "(`taskmill queue pause NAME`). One that was empty for a day is deleted",
    )
    unserved_types: Count = Field(
        500,
        description="most types that wait without a contract, and without a worker in the last hour",
    )
    request_timeout_s: Seconds = Field(5.0, description="when a request ends with 503")


class DatabaseSettings(Group):
    """How PostgreSQL is used."""

    pool_size: Count = Field(8, description="connections for the hot statements, each process")
    listing_pool_size: Count = Field(
        4,
        description="connections for lists, each process. Half of them also serve searches; those of one address "
        "leave one of these to others, so raise it for a proxy",
    )
    statement_timeout_s: float = Field(
        10.0,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="longest statement, and on PostgreSQL 17 and later longest transaction",
    )
    connect_timeout_s: Seconds = Field(5.0, description="longest wait for a connection")
    name_index: bool = Field(
        default=True,
        description="whether searches by name have an index, the dearest of a task's; `taskmill migrate` and "
        "`taskmill up` make it, or drop it",
    )


class EmulationSettings(Group):
    """How tasks are emulated unless their payload has these values."""

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
    """How long a worker keeps its tasks without a renewal."""

    ttl_s: float = Field(
        15.0,
        ge=1,
        le=MOST,
        allow_inf_nan=False,
        description="how long a silent worker keeps its tasks. The lease is renewed every third of this. Set it "
        "alike for workers and maintenance",
    )


def _worker_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class WorkerSettings(Group):
    """A worker process: what it runs, and how much."""

    name: str = Field(
        default_factory=_worker_name,
        min_length=1,
        max_length=200,
        description="name in logs, history and `taskmill worker list`",
    )
    app: str | None = Field(
        None,
        min_length=1,
        description="`module:name` of the app whose task types it runs, from the folder in which it is started",
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
        description="queues to serve, with optional weights: `mail=3,reports` takes from `mail` "
        "three times as often while both have waiting tasks; empty for all",
    )
    exclusive_types: Names = Field(
        (),
        description="types (`*` for all) whose handlers are stopped as soon as the worker's lease could have "
        "ended, for example when the database is away for longer; others go on, and only "
        "their result is refused",
    )
    grace_s: SecondsOrZero = Field(
        10.0, description="time that handlers get to end when the worker must stop"
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
        description="how often an idle worker polls for tasks when it gets no notification; if notifications "
        "work and nothing has happened for 2 s, every 5 s",
    )
    claim_size: Count = Field(
        500, description="most tasks in one claim, and in one flush of finishes"
    )

    @property
    def longest_stop_s(self) -> float:
        """How long a worker takes to stop if its handlers don't: they are cancelled twice."""
        return self.grace_s + 2 * self.stop_timeout_s


class TaskLogSettings(Group):
    """What is stored of handlers' logs."""

    level: TaskLogLevel = Field("info", description="least level that is stored; `off` for none")
    claim_lines: int = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="most lines of one claim; one more line has the number of those left out",
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
        description="most memory of a worker for lines that are not yet stored; above it new ones are dropped",
    )

    @property
    def least_level(self) -> int:
        """The level as a number of Python's `logging`; for `off` above all levels."""
        return NOTHING if self.level == "off" else LineLevel(self.level).number


class RetrySettings(Group):
    """The retry policy of tasks without one.

    It is `base_s * factor ** (attempt - 1)`, at most `max_s`.
    """

    base_s: SecondsOrZero = Field(1.0, description="wait before the second attempt")
    factor: float = Field(2.0, ge=1, le=100, description="growth of the wait")
    max_s: SecondsOrZero = Field(3600.0, description="longest wait")
    jitter: float = Field(
        0.1, ge=0, le=1, description="the wait is spread by ± this part of itself"
    )


class RetentionSettings(Group):
    """How long data is kept."""

    tasks_days: int = Field(
        365,
        ge=1,
        le=380,
        description="days to keep ended tasks and their history, of queues without a time of their own "
        "(`taskmill queue keep`). A week is dropped as a whole, once all its tasks have ended",
    )
    archive_path: Path | None = Field(
        None,
        description="folder into which a week is written before it is dropped, payloads included; unset: none is. "
        "Set it alike for all processes of maintenance. `taskmill archive` reads it",
    )
    change_days: int = Field(
        7,
        ge=1,
        le=380,
        description="days to keep changes for those who follow them; a cursor from before is refused with 410",
    )
    rejection_days: int = Field(30, ge=1, le=380, description="days to keep refused messages")
    audit_days: int = Field(
        365,
        ge=1,
        le=3660,
        description="days to keep the audit log. A month is dropped as a whole, once it is over for so long",
    )
    fire_days: int = Field(
        90,
        ge=1,
        le=380,
        description="days to keep what became of the ticks of schedules, and what SQL asked for of them and was "
        "refused; tasks are kept for `tasks_days`",
    )
    idempotency_days: int = Field(
        7,
        ge=1,
        le=380,
        description="days that an idempotency key holds, at most until its task is dropped with its week",
    )


class MaintenanceSettings(Group):
    """How often the duties of maintenance run, and with which login."""

    database_url: DatabaseUrl | None = Field(
        None,
        description="`TASKMILL_DATABASE_URL` with the login of maintenance, which may drop weeks, for a process "
        "that has other roles, too. Unset: all have the same login",
    )
    interval_s: Seconds = Field(
        1.0,
        description="pause between rounds of rescue, folding counters and rolling up statistics",
    )
    numbering_s: Seconds = Field(
        0.1,
        description="pause between scans for changes without a position: until they have one, followers do not "
        "get them. It is longer while nothing happens, as changes wake it",
    )


class FeedSettings(Group):
    """How changes are delivered to followers."""

    streams: Count = Field(
        1000,
        description="most streams of `GET /events` in one API process, and most held responses to "
        "`Prefer: wait`; a further stream gets 503, a further read gets its response at once",
    )
    # One read has up to a thousand changes, which must fit into a stream that keeps up.
    buffer: int = Field(
        10_000,
        ge=1000,
        le=MOST,
        description="how many changes a stream may lag before it is ended; its client resumes it",
    )
    heartbeat_s: Seconds = Field(15.0, description="longest silence of a stream")
    stream_s: Seconds = Field(
        3600.0,
        description="when a stream is ended; its client resumes it, so that streams spread over newer API "
        "processes",
    )
    wait_s: Seconds = Field(60.0, description="longest that `Prefer: wait` holds a response")
    publish: bool = Field(
        default=True,
        description="whether relays publish changes to RabbitMQ; the same for all of them",
    )
    source: str = Field(
        "/taskmill",
        min_length=1,
        max_length=200,
        description="`source` of the published events: give each Taskmill its own if one consumer gets events of "
        "several",
    )


class PullSettings(Group):
    """What workers that pull over HTTP may request; more is cut to it."""

    tasks: int = Field(100, ge=1, le=1000, description="most tasks of one lease")
    response_bytes: Count = Field(
        32 * 2**20,
        description="most bytes that the payloads of one lease have together; a lease has one task at least",
    )
    ttl_s: float = Field(
        30.0,
        ge=1,
        le=MOST,
        allow_inf_nan=False,
        description="how long a lease lives without a renewal unless its worker requests a time",
    )
    longest_ttl_s: float = Field(
        600.0,
        ge=1,
        le=MOST,
        allow_inf_nan=False,
        description="longest that a worker may request: a dead worker keeps its tasks that long",
    )
    wait_s: SecondsOrZero = Field(60.0, description="longest that `POST /leases` waits for a task")
    waiting: Count = Field(
        1000, description="most calls that wait in one API process; further ones get 503"
    )
    poll_s: Seconds = Field(
        0.5,
        description="how often an API process polls for tasks while calls wait and nothing wakes it",
    )


class MetricsSettings(Group):
    """Limits of metrics."""

    kinds: Count = Field(
        200,
        description="pairs of queue and type, and queues, that have series of their own in a process's metrics; "
        "all others share `_other`",
    )
