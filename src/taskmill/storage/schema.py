"""The tables for SQLAlchemy, from which `listing` composes its statements.

The migrations make the tables; a test compares the two. Partitions, triggers and storage settings are only in the
migrations. The tables of webhooks are in `schema_webhooks`, that of API keys in `schema_api_keys`, that of
sessions in `schema_sessions`, those of the audit log in `schema_audit`, those of types in `schema_types`,
those of failures in `schema_failures`, those of schedules in `schema_schedules`, those of notices in
`schema_attention`, that of saved views in `schema_views`, that of jobs in `schema_jobs`.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Sequence,
    SmallInteger,
    Table,
    Text,
    column,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, JSON, JSONB, UUID

from taskmill.storage import (
    schema_attention,
    schema_audit,
    schema_failures,
    schema_jobs,
    schema_schedules,
    schema_types,
    schema_views,
)
from taskmill.storage.schema_api_keys import api_key
from taskmill.storage.schema_columns import CLOCK, NOW, TIME, metadata, required
from taskmill.storage.schema_sessions import session
from taskmill.storage.schema_webhooks import task_callback, webhook, webhook_delivery

__all__ = [
    "api_key",
    "metadata",
    "schema_attention",
    "schema_audit",
    "schema_failures",
    "schema_jobs",
    "schema_schedules",
    "schema_types",
    "schema_views",
    "session",
    "task_callback",
    "webhook",
    "webhook_delivery",
]

task_number = Sequence("task_number", metadata=metadata)

_ENDED = text("final_status IS NOT NULL")
_CANCEL_REQUESTED = text("cancel_requested_at IS NOT NULL")

task = Table(
    "task",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    required("number", BigInteger, task_number.next_value()),
    required("name", Text),
    Column("description", Text),
    required("type", Text),
    Column("payload", JSON),
    required("queue", Text),
    required("priority", SmallInteger),
    Column("final_status", Text),
    required("run", Integer, text("1")),
    required("attempt", Integer, text("0")),
    required("max_attempts", Integer),
    required("losses", Integer, text("0")),
    required("max_losses", Integer),
    required("cancel_requested", Boolean, text("false")),
    required("run_at", TIME),
    required("created_at", TIME),
    Column("started_at", TIME),
    Column("finished_at", TIME),
    required("updated_at", TIME, NOW),
    Column("expires_at", TIME),
    Column("timeout_s", Double),
    Column("retry", JSONB),
    Column("result", JSON),
    Column("error", JSONB),
    required("labels", JSONB),
    required("source", Text),
    Column("traceparent", Text),
    required("version", Integer, text("1")),
    required("claim_no", Integer, text("0")),
    Column("open_policy", SmallInteger),
    Column("payload_secrets", JSON),
    Index("task_ended", "final_status", "id", postgresql_where=_ENDED),
    Index("task_queue_ended", "queue", "final_status", "id", postgresql_where=_ENDED),
    Index("task_type_ended", "type", "final_status", "id", postgresql_where=_ENDED),
    Index("task_queue_type_ended", "queue", "type", "final_status", postgresql_where=_ENDED),
    Index(
        "task_labels",
        "labels",
        postgresql_using="gin",
        postgresql_ops={"labels": "jsonb_path_ops"},
        postgresql_where=text("labels <> '{}'"),
    ),
    Index(
        "task_error_kind",
        text("taskmill.error_kind(error)"),
        "id",
        postgresql_where=text("error IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (id)",
)

dispatch = Table(
    "dispatch",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    required("queue", Text),
    required("type", Text),
    required("priority", SmallInteger),
    required("run_at", TIME),
    Column("expires_at", TIME),
    Column("owner", Text),
    Column("bytes", Integer),
    Index("dispatch_bucket", "queue", "type", "priority", "run_at", "task_id"),
    Index("dispatch_expiry", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    Index("dispatch_owner", "owner", postgresql_where=text("owner IS NOT NULL")),
)

running = Table(
    "running",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    required("lease_id", UUID(as_uuid=True)),
    *(required(name, Integer) for name in ("claim_no", "run", "attempt", "losses", "version")),
    required("started_at", TIME, NOW),
    Column("cancel_requested_at", TIME),
    required("run_at", TIME),
    *(required(name, Text) for name in ("queue", "claimed_by")),
    Column("claimed_reason", Text),
    Index("running_cancel_requested", "lease_id", postgresql_where=_CANCEL_REQUESTED),
)

# The view of tasks as they are now.
current_task = table(
    "current_task",
    *(column(c.name, c.type) for c in task.c if c.name != "final_status"),
    column("status", Text),
    column("lease_id", UUID(as_uuid=True)),
    schema="taskmill",
)

lease = Table(
    "lease",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    required("worker", Text),
    required("queues", ARRAY(Text)),
    required("types", ARRAY(Text)),
    required("slots", Integer),
    required("running", Integer, text("0")),
    required("started_at", TIME, CLOCK),
    required("renewed_at", TIME, CLOCK),
    required("expires_at", TIME),
    Column("closed_at", TIME),
    Column("close_reason", Text),
    Column("request", Text),
    required("remote", Boolean, text("false")),
    Column("task_ids", ARRAY(UUID(as_uuid=True))),
    Column("timeout_at", TIME),
    Column("version", Text),
    required("stop_when_empty", Boolean, text("false")),
    required("lost_task_ids", ARRAY(UUID(as_uuid=True)), text("'{}'")),
    Index("lease_open", "id", postgresql_where=text("closed_at IS NULL")),
    Index(
        "lease_timeout",
        "timeout_at",
        postgresql_where=text("timeout_at IS NOT NULL AND closed_at IS NULL"),
    ),
    Index("lease_worker_closed", "closed_at", postgresql_where=text("NOT remote")),
)

task_event = Table(
    "task_event",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    required("at", TIME, NOW),
    required("event", Text),
    required("status", Text),
    *(required(name, Integer) for name in ("run", "attempt", "losses", "claim_no")),
    required("run_at", TIME),
    Column("lease_id", UUID(as_uuid=True)),
    *(Column(name, Text) for name in ("worker", "reason", "claimed_by", "claimed_reason")),
    Column("error", JSONB),
    *(Column(name, TIME) for name in ("claimed_at", "claimed_run_at")),
    *(Column(name, Integer) for name in ("claimed_attempt", "claimed_losses")),
    postgresql_partition_by="RANGE (task_id)",
)

task_log = Table(
    "task_log",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    Column("claim_no", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    required("at", TIME),
    required("level", SmallInteger),
    Column("logger", Text),
    required("message", Text),
    Column("fields", JSON),
    postgresql_partition_by="RANGE (task_id)",
)

task_progress = Table(
    "task_progress",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    required("claim_no", Integer),
    required("serial", Integer, text("1")),
    Column("share", Double),
    Column("message", Text),
    required("at", TIME, NOW),
)

change_batch = Table(
    "change_batch",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    required("at", TIME, NOW),
    required("task_ids", ARRAY(UUID(as_uuid=True))),
    required("versions", ARRAY(Integer)),
    Column("position", BigInteger),
    Index("change_batch_position", "position", unique=True),
    Index("change_batch_unnumbered", "id", postgresql_where=text("position IS NULL")),
)

feed_delivery = Table(
    "feed_delivery",
    metadata,
    Column("follower", Text, primary_key=True),
    required("position", BigInteger),
    required("ordinal", Integer),
    Column("holder", UUID(as_uuid=True)),
    Column("expires_at", TIME),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    required("task_id", UUID(as_uuid=True)),
    required("request_hash", LargeBinary),
    required("expires_at", TIME),
    Index("idempotency_expiry", "expires_at"),
)

queue = Table(
    "queue",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_at", TIME),
    required("created_at", TIME, NOW),
    Column("resumed_at", TIME),
    Column("owner", Text),
    Column("keep", INTERVAL),
)

pruned_queue = Table(
    "pruned_queue",
    metadata,
    Column("queue", Text, primary_key=True),
    required("created_before", TIME),
)

queue_grant = Table(
    "queue_grant",
    metadata,
    Column("role", Text, primary_key=True),
    Column("queue", Text, primary_key=True),
)

task_count = Table(
    "task_count",
    metadata,
    required("queue", Text),
    required("status", Text),
    required("tasks", BigInteger),
    Column("week", Date),
)

task_week_count = Table(
    "task_week_count",
    metadata,
    Column("week", Date, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("queue", "status")),
    required("tasks", BigInteger),
)

task_minute_delta = Table(
    "task_minute_delta",
    metadata,
    required("at", TIME, NOW),
    required("queue", Text),
    required("type", Text),
    required("event", Text),
    Column("bucket", SmallInteger),
    required("tasks", BigInteger),
    Column("seconds", Double),
)

task_minute = Table(
    "task_minute",
    metadata,
    required("step_s", Integer),
    required("at", TIME),
    required("queue", Text),
    required("type", Text),
    required("carried", Boolean, text("false")),
    *(
        required(name, BigInteger)
        for name in (
            *("created", "claimed", "succeeded", "failed", "retry_scheduled"),
            *("handed_back", "lost", "expired", "cancelled", "run_again"),
        )
    ),
    required("waiting", Numeric),
    required("waiting_s", Double),
    required("running", Numeric),
    required("running_s", Double),
    Index(
        "task_minute_open",
        "step_s",
        "at",
        "queue",
        "type",
        unique=True,
        postgresql_where=text("NOT carried"),
    ),
    Index("task_minute_at", "step_s", "at"),
)

rejection = Table(
    "rejection",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    required("created_at", TIME, NOW),
    required("source", Text),
    Column("message_id", Text),
    required("body", LargeBinary),
    required("body_hash", LargeBinary),
    required("headers", JSON),
    required("status", Integer),
    required("problem", JSON),
    required("redeliveries", Integer, text("0")),
    Column("resent_at", TIME),
    Column("task_id", UUID(as_uuid=True)),
    Column("queue", Text),
    Index("rejection_queue", "queue", "id", postgresql_where=text("queue IS NOT NULL")),
    Index(
        "rejection_message",
        "source",
        "message_id",
        "body_hash",
        unique=True,
        postgresql_where=text("message_id IS NOT NULL"),
    ),
)

request_limit = Table(
    "request_limit",
    metadata,
    Column("scope", Text, primary_key=True),
    required("queues", Integer),
    required("labels", Integer),
    required("idempotency_key_chars", Integer),
    required("payload_bytes", Integer),
    required("key_validity", INTERVAL),
    required("unserved_types", Integer, text("500")),
)
