"""The tables of the audit log, as in `schema`."""

from sqlalchemy import Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSON, UUID

from taskmill.storage.schema_columns import TIME, metadata, required

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    required("at", TIME),
    *(required(name, Text) for name in ("action", "actor_kind")),
    *(Column(name, Text) for name in ("actor_name", "key_id", "session", "address")),
    *(Column(name, Text) for name in ("request_id", "target_type", "target_id")),
    required("details", JSON),
    Index("audit_entry_action", "action", "id"),
    Index("audit_entry_actor", "actor_name", "id", postgresql_where=text("actor_name IS NOT NULL")),
    Index("audit_entry_address", "address", "id", postgresql_where=text("address IS NOT NULL")),
    Index("audit_entry_target", "target_id", "id", postgresql_where=text("target_id IS NOT NULL")),
    postgresql_partition_by="RANGE (id)",
)

audit_outcome = Table(
    "audit_outcome",
    metadata,
    Column("entry_id", UUID(as_uuid=True), primary_key=True),
    required("at", TIME),
    required("outcome", Text),
    Column("reason", Text),
    required("details", JSON),
    postgresql_partition_by="RANGE (entry_id)",
)
