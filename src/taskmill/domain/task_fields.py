"""The fields of a task, each described once.

Requests, responses, the OpenAPI document, commands, the dashboard and the service in memory take from here what
they know of a field. What has to be written by hand for its language (typed signatures, SQL) is compared with this
table by `tests/architecture/test_task_fields.py`. CONTRIBUTING says how to add a field.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

DEFAULT_TYPE: Final = "emulate"
DEFAULT_QUEUE: Final = "default"
DEFAULT_PRIORITY: Final = 4
HIGHEST_PRIORITY: Final = 9
DEFAULT_MAX_ATTEMPTS: Final = 1
DEFAULT_MAX_LOSSES: Final = 3
LONGEST_URL: Final = 2048
DAY_S: Final = 86_400
WEEK_S: Final = 7 * DAY_S
YEAR_S: Final = 365 * DAY_S


class Kind(StrEnum):
    """What a field's value is; whoever reads, shows or stores fields treats those of a kind alike."""

    TEXT = "text"
    NAME = "name"
    INTEGER = "integer"
    SECONDS = "seconds"
    TIME = "time"
    URL = "url"
    OBJECT = "object"
    LABELS = "labels"
    POINTERS = "pointers"
    RETRY = "retry"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskField:
    """One field of a task.

    Attributes:
        name: Its name in JSON, in SQL and, with `-` for `_`, in options of commands.
        kind: What its value is.
        label: What people call it, in English; empty where it is never shown by itself.
        given: What it means in a request, for people; None when it can't be given.
        shown: What it means in a response, for people; empty when its name says it, None when it is not shown.
        default: Its value when a request leaves it out.
        least: The lowest number, or how short a text may be; with `is_over` a number must be higher.
        most: The highest number, or how long a text may be.
        note: What its bounds mean, in brackets.
        is_stored: Whether it is a column of the view `taskmill.current_task`, of this name.
        is_claimed: Whether the worker that claims the task gets it.
        is_row: Whether people see it as a row of its own wherever a task is shown, if it is set.
        example: Its value in the example of a task.
    """

    name: str
    kind: Kind
    label: str = ""
    given: str | None = None
    shown: str | None = None
    default: int | str | None = None
    least: int | None = None
    most: int | None = None
    is_over: bool = False
    note: str = ""
    is_stored: bool = True
    is_claimed: bool = False
    is_row: bool = False
    example: object = None

    @property
    def attribute(self) -> str:
        """Its name in `TaskDraft` and `Task`, where lengths of time are a `timedelta`."""
        return self.name.removesuffix("_s") if self.kind is Kind.SECONDS else self.name


_TABLE: Final = (
    TaskField(
        name="id",
        kind=Kind.OTHER,
        shown="UUIDv7: its time is created_at",
        is_claimed=True,
        example="01a2104d-0554-7000-aa31-7e1796e3ff04",
    ),
    TaskField(name="number", kind=Kind.INTEGER, shown="a number for people", example=862),
    TaskField(
        name="name",
        kind=Kind.TEXT,
        label="Name",
        given="its name, for people; not only white space",
        shown="its name, for people",
        least=1,
        most=200,
        is_claimed=True,
        example="monthly report",
    ),
    TaskField(
        name="description",
        kind=Kind.TEXT,
        label="Description",
        given="more for people to read",
        shown="",
        most=10_000,
    ),
    TaskField(
        name="type",
        kind=Kind.NAME,
        label="Type",
        given="which handler runs it",
        shown="which handler runs it",
        default=DEFAULT_TYPE,
        is_claimed=True,
        example="emulate",
    ),
    TaskField(
        name="payload",
        kind=Kind.OBJECT,
        label="Payload",
        given="what its handler gets",
        shown="what its handler gets",
        is_claimed=True,
        example={"customer": 4711},
    ),
    TaskField(
        name="payload_secrets",
        kind=Kind.POINTERS,
        label="Secret fields of the payload",
        given="what is masked in its payload for readers, as JSON pointers such as /card/number",
        shown="what is secret in its payload, as JSON pointers",
    ),
    TaskField(
        name="queue",
        kind=Kind.NAME,
        label="Queue",
        given="made on first use",
        shown="where it waits",
        default=DEFAULT_QUEUE,
        is_claimed=True,
        example="reports",
    ),
    TaskField(
        name="priority",
        kind=Kind.INTEGER,
        label="Priority",
        given="9 is most urgent",
        shown="0 to 9, the most urgent",
        default=DEFAULT_PRIORITY,
        least=0,
        most=HIGHEST_PRIORITY,
        note="the most urgent",
        is_claimed=True,
        example=7,
    ),
    TaskField(name="status", kind=Kind.OTHER, shown="", example="succeeded"),
    TaskField(
        name="run",
        kind=Kind.INTEGER,
        shown="1, and 1 more for each retry by an operator",
        is_claimed=True,
        example=1,
    ),
    TaskField(
        name="attempt",
        kind=Kind.INTEGER,
        shown="attempts of this run, the current one included",
        is_claimed=True,
        example=1,
    ),
    TaskField(
        name="max_attempts",
        kind=Kind.INTEGER,
        label="Attempts",
        given="how often it may fail, the last one included",
        shown="how often it may fail in a run, the last one included",
        default=DEFAULT_MAX_ATTEMPTS,
        least=1,
        most=1000,
        is_claimed=True,
        example=3,
    ),
    TaskField(
        name="losses",
        kind=Kind.INTEGER,
        shown="how often its worker was lost in this run",
        is_claimed=True,
        example=0,
    ),
    TaskField(
        name="max_losses",
        kind=Kind.INTEGER,
        label="Workers that may be lost",
        given="how often it is run again after its worker was lost; 0 is at most once",
        shown="how often it is run again after its worker was lost",
        default=DEFAULT_MAX_LOSSES,
        least=0,
        most=100,
        is_claimed=True,
        example=3,
    ),
    TaskField(
        name="retry",
        kind=Kind.RETRY,
        label="Pauses between attempts",
        given="when a failed attempt is tried again; by the service's policy when left out",
        shown="when a failed attempt is tried again; null for the service's policy",
        is_claimed=True,
        example={"base_s": 1.0, "factor": 2.0, "max_s": 3600.0, "jitter": 0.1},
    ),
    TaskField(
        name="timeout_s",
        kind=Kind.SECONDS,
        label="Time limit of an attempt",
        given="an attempt that runs longer has failed",
        shown="how long an attempt may run, in seconds",
        least=0,
        is_over=True,
        most=WEEK_S,
        note="a week",
        is_claimed=True,
        is_row=True,
        example=60.0,
    ),
    TaskField(
        name="cancel_requested",
        kind=Kind.OTHER,
        shown="a cancel was requested; if it runs, its worker is to stop it",
        example=False,
    ),
    TaskField(
        name="run_at",
        kind=Kind.TIME,
        label="Not before",
        given="not before this time; not together with a delay",
        shown="when it was, or is next, due",
        example="2026-11-25T01:23:32.820000Z",
    ),
    TaskField(
        name="delay_s",
        kind=Kind.SECONDS,
        label="Delay",
        given="not before so many seconds from now; not together with a time",
        least=0,
        most=YEAR_S,
        note="a year",
        is_stored=False,
    ),
    TaskField(
        name="expires_at",
        kind=Kind.TIME,
        label="Expires",
        given="a task that has not started by then fails",
        shown="if it has not begun by then, it fails",
    ),
    TaskField(
        name="created_at",
        kind=Kind.TIME,
        shown="",
        is_claimed=True,
        example="2026-11-25T01:23:32.820000Z",
    ),
    TaskField(
        name="started_at",
        kind=Kind.TIME,
        shown="when its latest attempt began",
        example="2026-11-25T01:23:32.911000Z",
    ),
    TaskField(
        name="finished_at",
        kind=Kind.TIME,
        shown="when it came into a terminal status",
        example="2026-11-25T01:23:39.418000Z",
    ),
    TaskField(
        name="updated_at",
        kind=Kind.TIME,
        shown="when it changed last",
        example="2026-11-25T01:23:39.418000Z",
    ),
    TaskField(
        name="progress",
        kind=Kind.OTHER,
        shown="the latest report of its latest attempt",
        is_stored=False,
    ),
    TaskField(
        name="result",
        kind=Kind.OTHER,
        shown="what its handler returned, any JSON",
        example={"pages": 12},
    ),
    TaskField(name="error", kind=Kind.OTHER, shown="why its latest failed attempt failed"),
    TaskField(
        name="labels",
        kind=Kind.LABELS,
        label="Labels",
        given="texts by which it can be found",
        shown="",
        is_claimed=True,
        example={"team": "finance"},
    ),
    TaskField(
        name="callback_url",
        kind=Kind.URL,
        label="Callback",
        given="a signed event is posted there when the task has ended",
        shown="where an event is posted when it has ended",
        most=LONGEST_URL,
        is_stored=False,
        is_row=True,
    ),
    TaskField(
        name="idempotency_key",
        kind=Kind.TEXT,
        label="Idempotency key",
        given="requests with the same key create one task",
        least=1,
        most=255,
        is_stored=False,
    ),
    TaskField(
        name="source",
        kind=Kind.OTHER,
        shown="its entry point: rest, amqp or sql; or schedule",
        example="rest",
    ),
    TaskField(name="version", kind=Kind.INTEGER, shown="1, and 1 more for each change", example=3),
)

TASK_FIELDS: Final = MappingProxyType({field.name: field for field in _TABLE})
"""All fields by name, in the order in which they are shown."""

GIVEN: Final = tuple(field for field in _TABLE if field.given is not None)
"""The fields of a request."""

SHOWN: Final = tuple(field for field in _TABLE if field.shown is not None)
"""The fields of a response."""
