"""The table of saved views, as in `schema`."""

from sqlalchemy import Column, Table, Text

from taskmill.storage.schema_columns import NOW, TIME, metadata, required

saved_view = Table(
    "saved_view",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("owner", "name")),
    required("address", Text),
    required("created_at", TIME, NOW),
)
