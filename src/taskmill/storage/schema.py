"""The tables as SQLAlchemy sees them: the picture of the schema, and what listing composes from.

The migrations make the tables; a test compares the two. Partitions, triggers and storage settings are the
migrations' alone.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Sequence,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, JSON, JSONB, UUID

metadata = MetaData(schema="taskmill")

_Time = DateTime(timezone=True)
_NOW = text("now()")
_CLOCK = text("clock_timestamp()")


def _required(name: str, kind: object, default: object = None) -> Column[object]:
    return Column(name, kind, nullable=False, server_default=default)  # type: ignore[arg-type]


task_number = Sequence("task_number", metadata=metadata)

task = Table(
    "task",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    _required("number", BigInteger, task_number.next_value()),
    _required("name", Text),
    Column("description", Text),
    _required("type", Text),
    Column("payload", JSON),
    _required("queue", Text),
    _required("priority", SmallInteger),
    _required("status", Text),
    _required("run", Integer, text("1")),
    _required("attempt", Integer, text("0")),
    _required("max_attempts", Integer),
    _required("losses", Integer, text("0")),
    _required("max_losses", Integer),
    _required("cancel_requested", Boolean, text("false")),
    _required("run_at", _Time),
    _required("created_at", _Time),
    Column("started_at", _Time),
    Column("finished_at", _Time),
    _required("updated_at", _Time, _NOW),
    Column("expires_at", _Time),
    Column("timeout_s", Double),
    Column("retry", JSONB),
    Column("result", JSON),
    Column("error", JSONB),
    _required("labels", JSONB),
    _required("source", Text),
    Column("traceparent", Text),
    _required("version", Integer, text("1")),
    _required("claim_no", Integer, text("0")),
    Column("lease_id", UUID(as_uuid=True)),
    Index("task_status_id", "status", "id"),
    Index("task_queue_status_id", "queue", "status", "id"),
    Index(
        "task_cancel_asked",
        "lease_id",
        postgresql_where=text("cancel_requested AND lease_id IS NOT NULL"),
    ),
    postgresql_partition_by="RANGE (id)",
)

dispatch = Table(
    "dispatch",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    _required("queue", Text),
    _required("type", Text),
    _required("priority", SmallInteger),
    _required("run_at", _Time),
    Column("expires_at", _Time),
    Column("released_at", _Time),
    Index("dispatch_lane", "queue", "type", "priority", "run_at", "task_id"),
    Index("dispatch_expiry", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
)

lease = Table(
    "lease",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    _required("worker", Text),
    _required("queues", ARRAY(Text)),
    _required("types", ARRAY(Text)),
    _required("slots", Integer),
    _required("running", Integer, text("0")),
    _required("started_at", _Time, _CLOCK),
    _required("renewed_at", _Time, _CLOCK),
    _required("expires_at", _Time),
    Column("closed_at", _Time),
    Column("close_reason", Text),
    Column("asked_to", Text),
    _required("remote", Boolean, text("false")),
    Column("task_ids", ARRAY(UUID(as_uuid=True))),
    Column("timeout_at", _Time),
    Column("version", Text),
    _required("stop_when_empty", Boolean, text("false")),
    _required("lost_task_ids", ARRAY(UUID(as_uuid=True)), text("'{}'")),
    Index("lease_open", "id", postgresql_where=text("closed_at IS NULL")),
    Index(
        "lease_timeout",
        "timeout_at",
        postgresql_where=text("timeout_at IS NOT NULL AND closed_at IS NULL"),
    ),
)

task_event = Table(
    "task_event",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _required("at", _Time, _NOW),
    _required("happening", Text),
    _required("status", Text),
    *(_required(name, Integer) for name in ("run", "attempt", "losses", "claim_no")),
    _required("run_at", _Time),
    Column("lease_id", UUID(as_uuid=True)),
    Column("worker", Text),
    Column("reason", Text),
    Column("error", JSONB),
    postgresql_partition_by="RANGE (task_id)",
)

task_log = Table(
    "task_log",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    Column("claim_no", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    _required("at", _Time),
    _required("level", SmallInteger),
    Column("logger", Text),
    _required("message", Text),
    Column("fields", JSON),
    postgresql_partition_by="RANGE (task_id)",
)

task_progress = Table(
    "task_progress",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    _required("claim_no", Integer),
    _required("serial", Integer, text("1")),
    Column("share", Double),
    Column("message", Text),
    _required("at", _Time, _NOW),
)

change_batch = Table(
    "change_batch",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _required("at", _Time, _NOW),
    _required("task_ids", ARRAY(UUID(as_uuid=True))),
    _required("versions", ARRAY(Integer)),
    Column("position", BigInteger),
    Index("change_batch_position", "position", unique=True),
    Index("change_batch_unnumbered", "id", postgresql_where=text("position IS NULL")),
)

feed_delivery = Table(
    "feed_delivery",
    metadata,
    Column("place", Text, primary_key=True),
    _required("position", BigInteger),
    _required("ordinal", Integer),
    Column("holder", UUID(as_uuid=True)),
    Column("expires_at", _Time),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    _required("task_id", UUID(as_uuid=True)),
    _required("request_hash", LargeBinary),
    _required("expires_at", _Time),
    Index("idempotency_expiry", "expires_at"),
)

queue = Table(
    "queue",
    metadata,
    Column("name", Text, primary_key=True),
    Column("paused_at", _Time),
    _required("created_at", _Time, _NOW),
)

task_count = Table(
    "task_count",
    metadata,
    _required("queue", Text),
    _required("status", Text),
    _required("tasks", BigInteger),
)

task_minute_delta = Table(
    "task_minute_delta",
    metadata,
    _required("at", _Time, _NOW),
    _required("queue", Text),
    _required("type", Text),
    _required("happening", Text),
    Column("bucket", SmallInteger),
    _required("tasks", BigInteger),
    Column("seconds", Double),
)

task_minute = Table(
    "task_minute",
    metadata,
    _required("step_s", Integer),
    _required("at", _Time),
    _required("queue", Text),
    _required("type", Text),
    _required("carried", Boolean, text("false")),
    *(
        _required(name, BigInteger)
        for name in (
            *("created", "claimed", "succeeded", "failed", "retry_scheduled"),
            *("handed_back", "lost", "expired", "cancelled", "run_again"),
        )
    ),
    _required("waiting", Numeric),
    _required("waiting_s", Double),
    _required("running", Numeric),
    _required("running_s", Double),
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

failure_delta = Table(
    "failure_delta",
    metadata,
    _required("at", _Time, _NOW),
    _required("type", Text),
    _required("error", Text),
    _required("task_id", UUID(as_uuid=True)),
)

failure = Table(
    "failure",
    metadata,
    Column("step_s", Integer, primary_key=True, autoincrement=False),
    Column("at", _Time, primary_key=True),
    *(Column(name, Text, primary_key=True) for name in ("type", "error")),
    _required("tasks", BigInteger),
    *(_required(name, _Time) for name in ("first_at", "last_at")),
    _required("task_id", UUID(as_uuid=True)),
)

rejection = Table(
    "rejection",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    _required("created_at", _Time, _NOW),
    _required("door", Text),
    Column("message_id", Text),
    _required("body", LargeBinary),
    _required("body_hash", LargeBinary),
    _required("headers", JSON),
    _required("status", Integer),
    _required("problem", JSON),
    _required("redeliveries", Integer, text("0")),
    Column("resent_at", _Time),
    Column("task_id", UUID(as_uuid=True)),
    Index(
        "rejection_message",
        "door",
        "message_id",
        "body_hash",
        unique=True,
        postgresql_where=text("message_id IS NOT NULL"),
    ),
)

type_contract = Table(
    "type_contract",
    metadata,
    Column("type", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _required("digest", LargeBinary),
    _required("schema", JSON),
    _required("form", JSONB),
    _required("defaults", JSON),
    _required("registered_at", _Time, _NOW),
    _required("registered_by", Text),
    Index("type_contract_digest", "type", "digest", unique=True),
)

task_type = Table(
    "task_type",
    metadata,
    Column("name", Text, primary_key=True),
    _required("version", Integer),
    _required("changed_at", _Time, _NOW),
)

contract_revision = Table(
    "contract_revision",
    metadata,
    Column("place", Text, primary_key=True),
    _required("revision", BigInteger),
)

door_limit = Table(
    "door_limit",
    metadata,
    Column("place", Text, primary_key=True),
    _required("queues", Integer),
    _required("labels", Integer),
    _required("idempotency_key_chars", Integer),
    _required("payload_bytes", Integer),
    _required("key_validity", INTERVAL),
)

webhook = Table(
    "webhook",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    _required("url", Text),
    Column("description", Text),
    *(_required(name, ARRAY(Text)) for name in ("queues", "types", "statuses", "secrets")),
    _required("state", Text),
    Column("disabled_reason", Text),
    _required("since_position", BigInteger),
    Column("failing_since", _Time),
    _required("created_at", _Time, _NOW),
    _required("updated_at", _Time, _NOW),
    Column("deleted_at", _Time),
)

task_callback = Table(
    "task_callback",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    _required("url", Text),
    _required("lane", Text),
)

_PENDING = text("state = 'pending'")

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _required("lane", Text),
    Column("webhook_id", UUID(as_uuid=True)),
    Column("task_id", UUID(as_uuid=True)),
    Column("version", Integer),
    Column("position", BigInteger),
    Column("ordinal", Integer),
    _required("state", Text, text("'pending'")),
    _required("attempts", Integer, text("0")),
    _required("created_at", _Time, _NOW),
    _required("next_at", _Time, _NOW),
    _required("give_up_at", _Time),
    Column("tried_at", _Time),
    Column("finished_at", _Time),
    Column("answer", Integer),
    Column("trouble", Text),
    Index("webhook_delivery_lane", "lane", "next_at", "id", postgresql_where=_PENDING),
    Index("webhook_delivery_give_up", "give_up_at", postgresql_where=_PENDING),
    Index("webhook_delivery_webhook", "webhook_id", "state", "id"),
    Index(
        "webhook_delivery_failing",
        "lane",
        postgresql_where=text("state = 'pending' AND trouble IS NOT NULL AND webhook_id IS NULL"),
    ),
    Index(
        "webhook_delivery_callback",
        "task_id",
        "id",
        postgresql_where=text("webhook_id IS NULL"),
    ),
    Index("webhook_delivery_finished", "finished_at", postgresql_where=text("state <> 'pending'")),
)
