"""Makes Taskmill's roles in a database, gives them their rights, and makes one of them the owner of the schema.

It needs no superuser: the login that migrates has to own the schema and, where roles are missing, CREATEROLE. What
the rights are is in `rights`. Everything may be repeated.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

import asyncpg

from taskmill.domain.errors import ConfigurationError
from taskmill.observability.logs import get_logger
from taskmill.storage import faults
from taskmill.storage.rights import (
    APP,
    GRANTED,
    MAINTENANCE,
    OWNER,
    READER,
    ROLES,
    TABLES,
    Objects,
    grants,
)
from taskmill.storage.servers import Connection, Servers
from taskmill.storage.session import open_command_session

log = get_logger(__name__)

_CONNECT_TIMEOUT_S = 60.0
_CLOSE_TIMEOUT_S = 2.0
# As in `migrations/env.py`: nobody migrates meanwhile.
_ADVISORY_LOCK = 0x7461736B
# A table changes hands under a lock that all others queue behind, so a try waits briefly.
_LOCK_MS = 50
_TRIES = 20
_PAUSE_S = 0.5
_ITERATIONS = 4096

# Roles are shared by all databases of a server: another one may make them at the same time.
_CREATE = """
DO $$ BEGIN
    IF to_regrole('{role}') IS NULL THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$
"""
_JOIN = """
DO $$ BEGIN
    IF NOT pg_has_role({member}, '{role}', 'USAGE') THEN
        EXECUTE format('GRANT {role} TO %I', {member});
    END IF;
END $$
"""
_OWNER_OF_SCHEMA = """
SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'taskmill'
"""
_FOREIGN_TABLES = """
SELECT c.relname::text
FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relkind IN ('r', 'p', 'v')
    AND c.relowner <> $1::text::regrole
    AND (c.relname = ANY ($2::text[]) OR i.inhparent::regclass::text LIKE 'taskmill.%')
ORDER BY i.inhrelid IS NOT NULL, c.oid
"""
_FOREIGN_OTHERS = """
SELECT format('ALTER SEQUENCE taskmill.%I OWNER TO {owner}', c.relname)
FROM pg_class AS c
WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relkind = 'S' AND c.relowner <> '{owner}'::regrole
    AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i'))
UNION ALL
SELECT format('ALTER FUNCTION %s OWNER TO {owner}', oid::regprocedure)
FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace AND proowner <> '{owner}'::regrole
"""
_GRANTED = """
SELECT a.grantee::regrole::text AS role, c.relname::text AS name,
    string_agg(left(a.privilege_type, 1), '' ORDER BY a.privilege_type) AS letters
FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relkind IN ('r', 'p', 'v')
    AND a.grantee <> 0 AND a.grantee::regrole::text = ANY ($1::text[])
GROUP BY a.grantee, c.relname
"""
_COLUMNS = """
SELECT c.relname::text AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class AS c INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'taskmill'::regnamespace AND c.relkind IN ('r', 'p', 'v')
    AND (NOT c.relispartition OR c.relname = ANY ($1::text[])) AND c.relowner = $2::text::regrole
GROUP BY c.relname
"""
_FUNCTIONS = """
SELECT proname::text AS name, oid::regprocedure::text AS signature
FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace AND proname <> 'contract_of'
"""


async def apply(url: str, passwords: Mapping[str, str], *, see_all_sessions: bool = False) -> None:
    """Make the roles, and whatever has no rights yet usable by them.

    Args:
        url: the database's address, with the login that migrates.
        passwords: with which these roles may log in. The others stay as they are.
        see_all_sessions: whether metrics include the sessions of everybody; only for a server of our own.

    Raises:
        ConfigurationError: the login may not do that, or a table is in use for too long.
    """
    try:
        connection = await open_command_session(Servers(url), timeout_s=_CONNECT_TIMEOUT_S)
        try:
            await _lock(connection)
            await _create(connection, passwords)
            await _take_over(connection)
            await _grant(connection)
            if see_all_sessions:
                await connection.execute(f"GRANT pg_read_all_stats TO {APP}")
        finally:
            await connection.close(timeout=_CLOSE_TIMEOUT_S)
    except (asyncpg.PostgresError, *faults.CONNECTION_ERRORS) as error:
        raise ConfigurationError(
            f"the roles can't be made: {faults.in_words(error)}. The login has to be the owner of the schema "
            f"taskmill or a member of {OWNER}, and needs CREATEROLE unless all roles are there"
        ) from error


async def renew(url: str) -> None:
    """Give the roles their rights on what a migration has made, if they are in use in this database.

    Raises:
        ConfigurationError: as for `apply`.
    """
    connection = await open_command_session(Servers(url), timeout_s=_CONNECT_TIMEOUT_S)
    try:
        are_used = await connection.fetchval(_OWNER_OF_SCHEMA) == OWNER
    finally:
        await connection.close(timeout=_CLOSE_TIMEOUT_S)
    if are_used:
        await apply(url, {})


async def are_ready(connection: Connection) -> bool:
    """Return whether this database's roles are as this program needs them, and its processes can log in."""
    logins = await connection.fetchval(
        "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname = ANY ($1::text[])",
        [APP, MAINTENANCE],
    )
    if logins != 2 or await connection.fetchval(_OWNER_OF_SCHEMA) != OWNER:  # noqa: PLR2004 - both
        return False
    return await granted(connection) == wanted()


async def granted(connection: Connection) -> dict[tuple[str, str], str]:
    """Return the rights on whole tables and views that roles have been given: letters by role and table."""
    rows = await connection.fetch(_GRANTED, list(GRANTED))
    return {(row["role"], row["name"]): row["letters"] for row in rows}


def wanted() -> dict[tuple[str, str], str]:
    """Return what `granted` returns if all is well."""
    given = {
        (role, name): letters
        for name, rights in TABLES.items()
        for role, letters in (
            (APP, rights.app),
            (MAINTENANCE, rights.maintenance),
            (READER, rights.of(READER)),
        )
    }
    return {key: "".join(sorted(letters)) for key, letters in given.items() if letters}


async def _lock(connection: Connection) -> None:
    # Not a wait in PostgreSQL: that would be a snapshot, for whose end CREATE INDEX CONCURRENTLY waits.
    while not await connection.fetchval(  # noqa: ASYNC110 - another process holds it
        f"SELECT pg_try_advisory_lock({_ADVISORY_LOCK})"
    ):
        await asyncio.sleep(0.1)


async def _create(connection: Connection, passwords: Mapping[str, str]) -> None:
    for role in ROLES:
        await connection.execute(_CREATE.format(role=role))
    await connection.execute(_JOIN.format(role=APP, member=f"'{MAINTENANCE}'"))
    await connection.execute(_JOIN.format(role=OWNER, member="current_user"))
    for role, password in passwords.items():
        await connection.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{verifier(password)}'")


async def _take_over(connection: Connection) -> None:
    """Make `OWNER` the owner of the schema and of what is ours in it; tables of others stay theirs.

    It is done one by one, so that it waits for no two locks at once. The login, a member of `OWNER`, goes on.
    """
    if await connection.fetchval(_OWNER_OF_SCHEMA) != OWNER:
        await connection.execute(f"ALTER SCHEMA taskmill OWNER TO {OWNER}")
    await connection.execute(f"SET lock_timeout = {_LOCK_MS}")
    for (table,) in await connection.fetch(_FOREIGN_TABLES, OWNER, list(TABLES)):
        await _with_tries(connection, f"ALTER TABLE taskmill.{table} OWNER TO {OWNER}")
    for (command,) in await connection.fetch(_FOREIGN_OTHERS.format(owner=OWNER)):
        await _with_tries(connection, command)


async def _with_tries(connection: Connection, command: str) -> None:
    for _ in range(_TRIES):
        try:
            await connection.execute(command)
        except asyncpg.LockNotAvailableError:
            await asyncio.sleep(_PAUSE_S)
        else:
            return
    await connection.execute(command)


async def _grant(connection: Connection) -> None:
    """Give each role what `rights` says and no more, all at once."""
    columns = await connection.fetch(_COLUMNS, list(TABLES), OWNER)
    functions = await connection.fetch(_FUNCTIONS)
    found = Objects(
        columns={row["name"]: tuple(row["columns"]) for row in columns},
        functions=[(row["name"], row["signature"]) for row in functions],
    )
    await connection.execute(";\n".join(grants(found)))
    log.info("roles.granted", tables=len(found.columns))


def verifier(password: str) -> str:
    """Return what PostgreSQL stores of a password (RFC 5803), so that its logs never have the password itself."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)

    def key(name: bytes) -> bytes:
        return hmac.digest(salted, name, "sha256")

    stored = hashlib.sha256(key(b"Client Key")).digest()
    salt64, stored64, server64 = (
        base64.b64encode(part).decode() for part in (salt, stored, key(b"Server Key"))
    )
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt64}${stored64}:{server64}"
