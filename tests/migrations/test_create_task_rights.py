"""The migration that gives `create_task` another argument leaves those the right who had it, and nobody else."""

from taskmill.storage import migrate
from tests.support.migrating import apart, downgrade, fetch_rows

ROLES = ("may_call", "may_grant", "may_not")
RIGHTS = """
    SELECT r.rolname::text, has_function_privilege(r.oid, p.oid, 'EXECUTE'),
        has_function_privilege(r.oid, p.oid, 'EXECUTE WITH GRANT OPTION')
    FROM pg_proc AS p CROSS JOIN pg_roles AS r
    WHERE p.proname = 'create_task' AND r.rolname LIKE 'may\\_%' ORDER BY 1
"""
EXPECTED = [("may_call", True, False), ("may_grant", True, True), ("may_not", False, False)]


async def test_who_may_create_tasks_by_sql_still_may(empty_database_url: str) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, "0039")
    for role in ROLES:
        await fetch_rows(url, f"CREATE ROLE {role}")
    try:
        await fetch_rows(url, "GRANT EXECUTE ON FUNCTION taskmill.create_task TO may_call")
        await fetch_rows(
            url, "GRANT EXECUTE ON FUNCTION taskmill.create_task TO may_grant WITH GRANT OPTION"
        )
        await apart(migrate.upgrade, url, "0040")
        assert await fetch_rows(url, RIGHTS) == EXPECTED
        await apart(downgrade, url, "0039")
        assert await fetch_rows(url, RIGHTS) == EXPECTED
    finally:
        for role in ROLES:
            await fetch_rows(url, f"DROP OWNED BY {role}")
            await fetch_rows(url, f"DROP ROLE {role}")
