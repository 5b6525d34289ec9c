"""The tables of what needs attention, and of what processes report, as in `schema`."""

from sqlalchemy import Boolean, Column, Double, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

notice = Table(
    "notice",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    *(required(name, Text) for name in ("kind", "subject")),
    Column("queue", Text),
    *(required(name, TIME, NOW) for name in ("first_at", "last_at")),
    *(Column(name, Text) for name in ("mark", "marked_by")),
    *(Column(name, TIME) for name in ("marked_at", "marked_until")),
    Column("note", Text),
)

attention = Table(
    "attention",
    metadata,
    Column("is_only", Boolean, primary_key=True, server_default=text("true")),
    *(required(name, TIME, NOW) for name in ("recorded_since", "recorded_at")),
    Column("active_at", TIME),
)

process = Table(
    "process",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    required("name", Text),
    required("roles", ARRAY(Text)),
    required("version", Text),
    *(required(name, TIME, NOW) for name in ("started_at", "seen_at")),
    required("clock_ahead_s", Double),
    required("failing_duties", JSONB, text("'[]'")),
)
