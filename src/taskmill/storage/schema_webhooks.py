"""The tables of webhooks and callbacks, as in `schema`."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

webhook = Table(
    "webhook",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    required("url", Text),
    Column("description", Text),
    *(required(name, ARRAY(Text)) for name in ("queues", "types", "statuses", "secrets")),
    required("state", Text),
    Column("disabled_reason", Text),
    required("since_position", BigInteger),
    Column("failing_since", TIME),
    required("created_at", TIME, NOW),
    required("updated_at", TIME, NOW),
    Column("deleted_at", TIME),
    Column("owner", Text),
)

task_callback = Table(
    "task_callback",
    metadata,
    Column("task_id", UUID(as_uuid=True), primary_key=True),
    required("url", Text),
    required("endpoint", Text),
)

callback_key = Table(
    "callback_key",
    metadata,
    Column("is_only", Boolean, primary_key=True, server_default=text("true")),
    required("secret", Text),
)

_PENDING = text("state = 'pending'")

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    required("endpoint", Text),
    Column("webhook_id", UUID(as_uuid=True)),
    Column("task_id", UUID(as_uuid=True)),
    Column("version", Integer),
    Column("position", BigInteger),
    Column("ordinal", Integer),
    required("state", Text, text("'pending'")),
    required("attempts", Integer, text("0")),
    required("created_at", TIME, NOW),
    required("next_at", TIME, NOW),
    required("give_up_at", TIME),
    Column("tried_at", TIME),
    Column("finished_at", TIME),
    Column("response_status", Integer),
    Column("trouble", Text),
    Index("webhook_delivery_endpoint", "endpoint", "next_at", "id", postgresql_where=_PENDING),
    Index("webhook_delivery_give_up", "give_up_at", postgresql_where=_PENDING),
    Index("webhook_delivery_webhook", "webhook_id", "state", "id"),
    Index(
        "webhook_delivery_failing",
        "endpoint",
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
