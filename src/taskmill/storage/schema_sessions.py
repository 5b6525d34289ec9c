"""The table of sessions, as in `schema`."""

from sqlalchemy import Column, Index, LargeBinary, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import UUID

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

session = Table(
    "session",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True, server_default=text("gen_random_uuid()")),
    required("token_hash", LargeBinary),
    required("key_id", Text),
    required("created_at", TIME, NOW),
    required("used_at", TIME, NOW),
    required("ends_at", TIME),
    UniqueConstraint("token_hash"),
    Index("session_end", "ends_at"),
    Index("session_key", "key_id"),
)
