"""The tables of failures, as in `schema`."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

failure_delta = Table(
    "failure_delta",
    metadata,
    required("at", TIME, NOW),
    required("type", Text),
    required("error", Text),
    required("task_id", UUID(as_uuid=True)),
    Column("queue", Text),
)

failure = Table(
    "failure",
    metadata,
    Column("step_s", Integer, primary_key=True, autoincrement=False),
    Column("at", TIME, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("type", "error")),
    required("tasks", BigInteger),
    *(required(name, TIME) for name in ("first_at", "last_at")),
    required("task_id", UUID(as_uuid=True)),
)

queue_failure = Table(
    "queue_failure",
    metadata,
    Column("step_s", Integer, primary_key=True, autoincrement=False),
    Column("queue", Text, primary_key=True),
    Column("at", TIME, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("type", "error")),
    required("tasks", BigInteger),
    *(required(name, TIME) for name in ("first_at", "last_at")),
    required("task_id", UUID(as_uuid=True)),
    Index("queue_failure_at", "step_s", "at"),
    Index("queue_failure_error", "error", "step_s", "at"),
)

failure_kind = Table(
    "failure_kind",
    metadata,
    Column("id", Text, primary_key=True),
    required("kind", Text),
    required("message", Text, text("''")),
    *(required(name, TIME) for name in ("first_at", "last_at")),
    required("task_id", UUID(as_uuid=True)),
    required("state", Text, text("'open'")),
    Column("state_at", TIME),
    Column("state_by", Text),
)
