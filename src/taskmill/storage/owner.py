"""Keeps tables that people create with our role out of our schema.

PostgreSQL searches the schema with the role's name first, which has our tables. Our own statements name their
schema always.
"""

from taskmill.storage.servers import Connection

_POINT_ELSEWHERE = """
DO $$
BEGIN
    EXECUTE format('ALTER ROLE %I SET search_path = public', current_user);
END $$
"""
_HAS_A_PATH = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_db_role_setting AS setting, unnest(setting.setconfig) AS line
     WHERE setting.setrole = current_user::regrole AND line LIKE 'search_path=%'
)
"""
_TABLES = """
SELECT relname::text
  FROM pg_catalog.pg_class
 WHERE relnamespace = to_regnamespace('taskmill') AND relkind IN ('r', 'p', 'f') AND NOT relispartition
 ORDER BY relname
"""
_ALEMBICS = "alembic_version"


async def point_at_public(connection: Connection) -> list[str] | None:
    """Set the role's search path to `public`, unless it has one already.

    Returns the tables of others in our schema, None when there was nothing to do. Open sessions keep the path that
    they have.
    """
    if await connection.fetchval(_HAS_A_PATH):
        return None
    await connection.execute(_POINT_ELSEWHERE)
    # Imported here: it is needed once in the life of a database.
    from taskmill.storage.schema import metadata  # noqa: PLC0415

    ours = {table.name for table in metadata.tables.values()} | {_ALEMBICS}
    return [name for (name,) in await connection.fetch(_TABLES) if name not in ours]
