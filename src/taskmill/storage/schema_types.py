"""The tables of types and their contracts, as in `schema`."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text
from sqlalchemy.dialects.postgresql import JSON

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

type_contract = Table(
    "type_contract",
    metadata,
    Column("type", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    required("digest", LargeBinary),
    required("schema", JSON),
    required("defaults", JSON),
    required("registered_at", TIME, NOW),
    required("registered_by", Text),
    Index("type_contract_digest", "type", "digest", unique=True),
)

task_type = Table(
    "task_type",
    metadata,
    Column("name", Text, primary_key=True),
    required("version", Integer),
    required("changed_at", TIME, NOW),
)

unserved_type = Table(
    "unserved_type",
    metadata,
    Column("name", Text, primary_key=True),
    required("noted_at", TIME, NOW),
    Column("owner", Text),
)

pulled_type = Table(
    "pulled_type",
    metadata,
    Column("name", Text, primary_key=True),
    required("pulled_at", TIME, NOW),
)

contract_revision = Table(
    "contract_revision",
    metadata,
    Column("scope", Text, primary_key=True),
    required("revision", BigInteger),
)
