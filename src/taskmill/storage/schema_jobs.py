"""The table of jobs, as in `schema`."""

from sqlalchemy import BigInteger, Column, Double, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSON, UUID

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

_RUNNING = text("state = 'running'")
_OVER = text("state <> 'running'")

job = Table(
    "job",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    required("action", Text),
    required("wanted", JSON),
    required("task_ids", ARRAY(UUID(as_uuid=True))),
    *(Column(name, BigInteger) for name in ("task_limit", "expected")),
    Column("first_at", TIME),
    required("spacing_s", Double),
    required("origin", JSON),
    Column("key_id", Text),
    Column("idempotency_key", Text),
    Column("request_hash", BYTEA),
    required("scopes", ARRAY(Text)),
    Column("entry_id", UUID(as_uuid=True)),
    required("state", Text, text("'running'")),
    Column("problem", Text),
    *(required(name, UUID(as_uuid=True)) for name in ("after_id", "until_id")),
    *(required(name, BigInteger, text("0")) for name in ("matched", "changed", "requested")),
    *(required(name, TIME, NOW) for name in ("created_at", "updated_at")),
    Column("stop_requested_at", TIME),
    Column("stop_requested_by", Text),
    Column("ended_at", TIME),
    Column("holder", UUID(as_uuid=True)),
    Column("held_until", TIME),
    Index("job_open", "id", postgresql_where=_RUNNING),
    Index(
        *("job_idempotency", "key_id", "idempotency_key"),
        unique=True,
        postgresql_nulls_not_distinct=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    Index("job_ended", "ended_at", postgresql_where=_OVER),
)
