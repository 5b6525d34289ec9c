"""The role that owns everything, where it is ours alone: where tables that people make with it land.

PostgreSQL looks into the schema of the role's own name first, and that is where our tables are. Our own statements
name the schema of whatever they use.
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
    """Have the role's new tables made in `public`, unless it has a path already.

    Returns the tables of others in our schema, None when there was nothing to do. Sessions that are open
    keep the path that they have.
    """
    if await connection.fetchval(_HAS_A_PATH):
        return None
    await connection.execute(_POINT_ELSEWHERE)
    # Here, because once in the life of a database is enough.
    from taskmill.storage.schema import metadata  # noqa: PLC0415

    ours = {table.name for table in metadata.tables.values()} | {_ALEMBICS}
    return [name for (name,) in await connection.fetch(_TABLES) if name not in ours]
