"""Where people's tables go that they create with the role of `up`."""

from urllib.parse import urlsplit

import asyncpg

from taskmill.storage.owner import point_at_public


async def test_a_role_named_like_our_schema_makes_its_tables_in_public(database_url: str) -> None:
    """As `taskmill` is; a role of its own, as others use this server meanwhile."""
    parts = urlsplit(database_url)
    mine = parts._replace(netloc=f"shopkeeper:pw@{parts.netloc.rpartition('@')[2]}").geturl()
    admin = await asyncpg.connect(database_url)
    try:
        await admin.execute("DROP ROLE IF EXISTS shopkeeper")
        await admin.execute("CREATE ROLE shopkeeper SUPERUSER LOGIN PASSWORD 'pw'")
        await admin.execute("CREATE TABLE taskmill.orders (id int)")
        session = await asyncpg.connect(mine)
        assert await point_at_public(session) == ["orders"]
        await session.close()
        session = await asyncpg.connect(mine)
        await session.execute("CREATE TABLE customers (id int)")
        assert await session.fetchval("SELECT 'public.customers'::regclass::text") == "customers"
        assert await point_at_public(session) is None, "once is enough"
        await session.execute("ALTER ROLE shopkeeper SET search_path = shop, public")
        assert await point_at_public(session) is None, "a path that somebody chose stays"
        await session.close()
    finally:
        await admin.execute("DROP OWNED BY shopkeeper")
        await admin.execute("DROP ROLE shopkeeper")
        await admin.close()
