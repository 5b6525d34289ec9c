"""The table of API keys, as in `schema`."""

from sqlalchemy import Column, Index, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, INTERVAL

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    required("name", Text),
    Column("description", Text),
    required("grants", ARRAY(Text)),
    required("networks", ARRAY(CIDR), text("'{}'")),
    Column("lifetime", INTERVAL),
    required("secret_hash", LargeBinary),
    required("created_at", TIME, NOW),
    *(Column(name, TIME) for name in ("expires_at", "revoked_at", "last_used_at")),
    required("quotas", ARRAY(Text), text("'{}'")),
    Index("api_key_name", "name"),
)
