"""The tables of failures, as in `schema`."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text
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
)
