"""The tables of schedules, as in `schema`."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, UUID

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

schedule = Table(
    "schedule",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    required("name", Text),
    required("revision", BigInteger, text("1")),
    required("spec", JSON),
    required("task", JSON),
    required("queue", Text),
    required("type", Text),
    required("created_at", TIME, NOW),
    required("updated_at", TIME, NOW),
    Column("managed_by", Text),
    Column("owner", Text),
    required("owner_quotas", ARRAY(Text), text("'{}'")),
    Column("undeclared_at", TIME),
    UniqueConstraint("name", name="schedule_name"),
    Index("schedule_queue", "queue", "id"),
    Index("schedule_managed", "managed_by", postgresql_where=text("managed_by IS NOT NULL")),
    Index("schedule_owner", "owner", postgresql_where=text("owner IS NOT NULL")),
)

schedule_cursor = Table(
    "schedule_cursor",
    metadata,
    Column("schedule_id", BigInteger, primary_key=True, autoincrement=False),
    required("revision", BigInteger, text("1")),
    required("owner", Text, text("''")),
    required("cursor_at", TIME),
    Column("next_at", TIME),
    Column("held_tick", TIME),
    Column("last_task_id", UUID(as_uuid=True)),
    Column("paused_at", TIME),
    required("tz_version", Text),
    Column("postponed_since", TIME),
    Index("schedule_due", "next_at", postgresql_where=text("paused_at IS NULL")),
    Index("schedule_owner_due", "owner", "next_at", postgresql_where=text("paused_at IS NULL")),
    Index(
        "schedule_postponed",
        "postponed_since",
        postgresql_where=text("postponed_since IS NOT NULL AND paused_at IS NULL"),
    ),
)

schedule_revision = Table(
    "schedule_revision",
    metadata,
    Column("schedule_id", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("from_tick", TIME, primary_key=True),
    required("spec", JSON),
    required("tz_version", Text),
    required("at", TIME, NOW),
    Index("schedule_revision_at", "at"),
)

schedule_fire = Table(
    "schedule_fire",
    metadata,
    Column("schedule_id", BigInteger, primary_key=True, autoincrement=False),
    Column("tick", TIME, primary_key=True),
    Column("until_tick", TIME),
    required("ticks", BigInteger, text("1")),
    required("cause", Text),
    required("outcome", Text),
    Column("task_id", UUID(as_uuid=True)),
    Column("cancelled_task_id", UUID(as_uuid=True)),
    Column("problem", JSON),
    required("at", TIME, NOW),
    Index("schedule_fire_at", "at"),
    Index("schedule_fire_task", "task_id", postgresql_where=text("task_id IS NOT NULL")),
    Index(
        "schedule_fire_trouble",
        "at",
        "schedule_id",
        postgresql_where=text("outcome IN ('refused', 'skipped_overlap', 'skipped_missed')"),
    ),
)

schedule_request = Table(
    "schedule_request",
    metadata,
    Column("name", Text, primary_key=True),
    required("id", BigInteger, Identity(always=True)),
    Column("body", JSON),
    Column("queue", Text),
    Column("type", Text),
    Column("replaced_queue", Text),
    Column("paused", Boolean),
    required("asked_by", Text),
    required("asked_at", TIME),
    Column("problem", JSON),
    Index(
        "schedule_request_open",
        "id",
        postgresql_where=text("problem IS NULL OR paused IS NOT NULL"),
    ),
    Index("schedule_request_refused", "asked_at", postgresql_where=text("problem IS NOT NULL")),
)

schedule_app = Table(
    "schedule_app",
    metadata,
    Column("name", Text, primary_key=True),
    required("digest", Text),
    required("replaced", ARRAY(Text), text("'{}'")),
    required("declared_at", TIME, NOW),
)
