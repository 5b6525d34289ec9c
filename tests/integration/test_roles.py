"""What each role may do in the database, and what it is refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from taskmill.operations.api_keys import create as make_key
from taskmill.operations.key_verification import KeyVerifier
from taskmill.storage import api_keys, migrate, partitions, rights, roles, week_drops
from taskmill.storage.rights import APP, ENQUEUE, MAINTENANCE, OWNER, READER, TABLES
from taskmill.storage.servers import Connection
from taskmill.storage.weeks import Week
from tests.support.api_keys import a_new_key
from tests.support.migrating import apart, run_module
from tests.support.polling import eventually
from tests.support.postgres import DatabaseServer
from tests.support.role_database import RoleDatabase
from tests.support.roles import PASSWORDS, as_role
from tests.support.sql import create
from tests.support.stage import SETTINGS, Stage

LOGINS = tuple(PASSWORDS)


@asynccontextmanager
async def session(url: str, role: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(as_role(url, role))
    try:
        yield connection
    finally:
        await connection.close()


async def tables(sql: Connection) -> set[str]:
    """The tables and views of the schema, without the partitions of weeks and months."""
    rows = await sql.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'taskmill'::regnamespace "
        r"AND relkind IN ('r', 'p', 'v') AND relname !~ '_\d{4}[mw]\d{2}$'"
    )
    return {row["relname"] for row in rows}


async def test_every_table_has_its_rights(stage: Stage) -> None:
    found = await tables(stage.sql)
    assert found == set(TABLES), (
        f"src/taskmill/storage/rights.py needs a row for {found - set(TABLES)}, and none for "
        f"{set(TABLES) - found}: what API, worker, relay, intake and webhooks do with it, what only maintenance "
        "does, and which columns hold secrets; then run `python scripts/roles_page.py`"
    )


async def test_the_roles_have_these_rights_and_no_others(stage: Stage) -> None:
    rows = await stage.sql.fetch(
        "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants "
        "WHERE table_schema = 'taskmill' AND grantee <> $1",
        OWNER,
    )
    found: dict[tuple[str, str], str] = {}
    for row in sorted(rows, key=lambda row: row["privilege_type"]):
        key = (row["grantee"], row["table_name"])
        found[key] = found.get(key, "") + row["privilege_type"][0]
    assert found == roles.wanted()
    assert await roles.granted(stage.sql) == roles.wanted()
    assert await roles.are_ready(stage.sql)


async def test_columns_with_secrets_are_not_for_readers(stage: Stage) -> None:
    hidden = {name: found.hidden for name, found in TABLES.items() if found.hidden}
    assert set(hidden) >= {"webhook", "callback_key"}
    for name, columns in hidden.items():
        rows = await stage.sql.fetch(
            "SELECT attname, has_column_privilege($1, attrelid, attnum, 'SELECT') AS is_shown FROM pg_attribute "
            "WHERE attrelid = ('taskmill.' || $2::text)::regclass AND attnum > 0 AND NOT attisdropped",
            READER,
            name,
        )
        for row in rows:
            is_hidden = columns == ("*",) or row["attname"] in columns
            assert row["is_shown"] != is_hidden, f"{name}.{row['attname']}"


async def test_functions_with_the_rights_of_the_owner_are_granted_one_by_one(stage: Stage) -> None:
    rows = await stage.sql.fetch(
        "SELECT proname, prosecdef, pg_get_userbyid(proowner) AS owner, "
        "ARRAY(SELECT r FROM unnest($1::text[]) AS r WHERE has_function_privilege(r, oid, 'EXECUTE')) AS roles "
        "FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace AND proname <> 'contract_of'",
        list(LOGINS),
    )
    assert {row["owner"] for row in rows} == {OWNER}
    found = {row["proname"]: set(row["roles"]) for row in rows if row["prosecdef"]}
    both = {APP, MAINTENANCE}
    assert found == {
        name: both if role == APP else {role} for name, role in rights.AS_OWNER.items()
    }


async def test_no_role_may_do_what_the_cluster_allows(stage: Stage) -> None:
    rows = await stage.sql.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1::text[]) "
        "AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)",
        list(rights.ROLES),
    )
    assert rows == []


FORBIDDEN_TO_ALL = [
    "CREATE TABLE taskmill.mine (id int)",
    "CREATE FUNCTION taskmill.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "ALTER TABLE taskmill.task ADD COLUMN mine int",
    "ALTER TABLE taskmill.task DISABLE TRIGGER ALL",
    "DROP TABLE taskmill.task",
    "TRUNCATE taskmill.dispatch",
    "DELETE FROM taskmill.task",
    "DELETE FROM taskmill.task_event",
    "DELETE FROM taskmill.task_log",
    "UPDATE taskmill.alembic_version SET version_num = '0'",
    "UPDATE taskmill.callback_key SET secret = ''",
    "COPY taskmill.queue TO PROGRAM 'true'",
    "COPY taskmill.queue TO '/tmp/queue'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT rolpassword FROM pg_authid",
    "SELECT * FROM shop.customer",
    "SET session_replication_role = replica",
    "SET ROLE taskmill_owner",
    "CREATE ROLE mine",
    "CREATE EXTENSION file_fdw",
]


@pytest.mark.parametrize("command", FORBIDDEN_TO_ALL)
async def test_what_nobody_but_the_owner_may_do_is_refused(stage: Stage, command: str) -> None:
    await stage.sql.execute("CREATE SCHEMA shop; CREATE TABLE shop.customer (id int)")
    for role in LOGINS:
        async with session(stage.url, role) as one:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await one.execute(command)


async def test_the_program_that_tests_run_has_the_rights_of_its_roles_and_no_more(
    stage: Stage,
) -> None:
    """All tests run the program so: else a statement that its role may not run would be found by an operator."""
    await stage.sql.execute("CREATE SCHEMA shop; CREATE TABLE shop.customer (id int)")
    for database, role in ((stage.database, APP), (stage.maintenance_database, MAINTENANCE)):
        async with database.hot() as connection:
            assert await connection.fetchval("SELECT session_user") == role
            for command in FORBIDDEN_TO_ALL:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(command)


@pytest.mark.parametrize(
    ("role", "command"),
    [
        (APP, "SELECT taskmill.drop_week('2020-01-06')"),
        (APP, "DELETE FROM taskmill.rejection"),
        (APP, "SELECT taskmill.prune_tasks('{}', NULL)"),
        (MAINTENANCE, "UPDATE taskmill.pruned_queue SET created_before = now()"),
        (APP, "INSERT INTO taskmill.api_key (id, name, grants) VALUES ('a', 'a', '{admin}')"),
        (APP, "UPDATE taskmill.api_key SET revoked_at = NULL"),
        (MAINTENANCE, "UPDATE taskmill.api_key SET grants = '{admin}'"),
        (MAINTENANCE, "DELETE FROM taskmill.api_key"),
        (APP, "SELECT taskmill.create_task(name => 'x')"),
        (MAINTENANCE, "SELECT taskmill.create_task(name => 'x')"),
        (READER, "SELECT * FROM taskmill.webhook"),
        (READER, "SELECT secrets FROM taskmill.webhook"),
        (READER, "SELECT secret FROM taskmill.callback_key"),
        (READER, "SELECT url FROM taskmill.task_callback"),
        (READER, "INSERT INTO taskmill.queue (name) VALUES ('x')"),
        (READER, "UPDATE taskmill.queue SET paused_at = now()"),
        (READER, "SELECT id FROM taskmill.task FOR UPDATE"),
        (READER, "SELECT nextval('taskmill.task_number')"),
        (READER, "SELECT taskmill.lock_partitions()"),
        (ENQUEUE, "SELECT id FROM taskmill.task"),
        (ENQUEUE, "SELECT name FROM taskmill.queue"),
        (ENQUEUE, "SELECT taskmill.make_partition('task', '2020-01-06')"),
    ],
)
async def test_what_is_for_another_role_is_refused(stage: Stage, role: str, command: str) -> None:
    async with session(stage.url, role) as one:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await one.execute(command)


async def test_the_api_verifies_keys_and_records_their_use_but_makes_none(stage: Stage) -> None:
    made = await a_new_key(stage.database, "admin")
    database = RoleDatabase(stage.url, SETTINGS)
    try:
        verifier = KeyVerifier(database, stage.clock)
        assert (
            await verifier.verify(f"Bearer {made.text}".encode(), "127.0.0.1")
        ).id == made.key.id
        await verifier.record_use()
        [key] = await api_keys.all_keys(database)
        assert key.last_used_at is not None
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await make_key(database, replace(made.key.draft, name="new"), environment="test")
    finally:
        await database.close()
    verifier.forget()


async def test_a_reader_reads_tasks_and_webhooks(stage: Stage) -> None:
    made = await stage.created()
    async with session(stage.url, READER) as reader:
        assert await reader.fetchval("SELECT id FROM taskmill.current_task") == made.id
        assert await reader.fetch("SELECT id, state, types FROM taskmill.webhook") == []
        await reader.fetch(r"SELECT * FROM taskmill.task_event JOIN taskmill.queue ON true")


async def test_a_program_creates_tasks_and_sees_nothing(stage: Stage) -> None:
    async with session(stage.url, ENQUEUE) as program:
        made = await create(program)
        assert isinstance(made, UUID)
    assert (await stage.task(made)).source == "sql"


async def test_a_program_creates_tasks_in_the_queues_granted_to_it(stage: Stage) -> None:
    async with session(stage.url, ENQUEUE) as program:
        await create(program, queue="anything")
        await stage.sql.execute(
            "INSERT INTO taskmill.queue_grant VALUES ('taskmill_enqueue', 'orders'), "
            "('taskmill_enqueue', 'mail.*'), ('taskmill_reader', 'reports'), ('gone', 'anything')"
        )
        for allowed in ("orders", "mail.fast", "mail."):
            await create(program, queue=allowed)
        for other in ("anything", "orders.new", "mail", "reports", None):
            with pytest.raises(
                asyncpg.InsufficientPrivilegeError, match="taskmill_enqueue may not"
            ):
                await create(program, queue=other)
        await stage.sql.execute("DELETE FROM taskmill.queue_grant WHERE role = 'taskmill_enqueue'")
        await create(program, queue="anything")
    await create(stage.sql, queue="anything")


async def test_processes_make_weeks_and_only_maintenance_drops_them(stage: Stage) -> None:
    moment = stage.clock.now() - timedelta(weeks=20)
    app = RoleDatabase(stage.url, SETTINGS)
    maintenance = RoleDatabase(stage.url, SETTINGS, role=MAINTENANCE)
    try:
        made = await partitions.ensure(app, moment)
        assert len(made) == 6
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await week_drops.drop_finished(app, stage.clock.now(), timedelta(weeks=5))
        dropped = await week_drops.drop_finished(maintenance, stage.clock.now(), timedelta(weeks=5))
        assert dropped == made
        await partitions.ensure(maintenance, moment)
        assert Week.of(moment) in await partitions.attached(stage.database)
    finally:
        await app.close()
        await maintenance.close()


@pytest.mark.slow
async def test_a_schema_of_before_changes_hands_while_it_is_used(empty_database_url: str) -> None:
    """And again: what is right already stays, what a process of before has made since is taken over."""
    url = empty_database_url
    await apart(migrate.upgrade, url)
    sql = await asyncpg.connect(url)
    try:
        await sql.execute("CREATE TABLE taskmill.orders (id int)")
        assert not await roles.are_ready(sql)
        async with asyncio.TaskGroup() as group, sql.transaction():
            await sql.execute("LOCK TABLE taskmill.task IN ACCESS SHARE MODE")
            change = group.create_task(apart(run_module, url, "taskmill", "migrate", "--roles"))
            # Whoever reads the table goes on, and the change waits for the end of that.
            await eventually(lambda: has_owner(sql, "alembic_version"), "tables change hands")
            assert not await has_owner(sql, "task")
        assert change.result().returncode == 0, change.result().stderr
        assert await roles.granted(sql) == roles.wanted()
        await sql.execute(
            "CREATE TABLE taskmill.task_2020w01 PARTITION OF taskmill.task FOR VALUES "
            "FROM (taskmill.first_id_of_week('2019-12-30')) TO (taskmill.first_id_of_week('2020-01-06'))"
        )
        await roles.renew(url)
        assert await has_owner(sql, "task_2020w01")
        assert not await has_owner(sql, "orders"), "tables of others stay theirs"
    finally:
        await sql.close()


async def has_owner(sql: Connection, table: str) -> bool:
    owner = await sql.fetchval(
        "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('taskmill.' || $1::text)",
        table,
    )
    return bool(owner == OWNER)


async def test_a_migration_makes_tables_as_the_owner_and_they_get_their_rights(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    await apart(migrate.upgrade, url, "0029")
    await roles.apply(url, {})
    done = await apart(run_module, url, "taskmill", "migrate")
    assert done.returncode == 0, done.stderr
    sql = await asyncpg.connect(url)
    try:
        owners = await sql.fetch(
            "SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc WHERE pronamespace = 'taskmill'::regnamespace"
        )
        assert [tuple(row) for row in owners] == [(OWNER,)]
        assert await roles.granted(sql) == roles.wanted()
    finally:
        await sql.close()


@pytest.mark.slow
async def test_a_login_that_is_no_superuser_makes_the_roles_and_migrates(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with DatabaseServer(tmp_path_factory.mktemp("server")) as server:
        admin = await asyncpg.connect(server.url("taskmill"))
        await admin.execute("CREATE ROLE migrator LOGIN CREATEROLE PASSWORD 'pw'")
        await admin.execute("CREATE DATABASE managed OWNER migrator")
        await admin.close()
        url = as_role(server.url("managed"), "migrator", "pw")
        for _ in range(2):
            done = await apart(run_module, url, "taskmill", "migrate", "--roles")
            assert done.returncode == 0, done.stderr
        await roles.apply(url, PASSWORDS)
        async with session(url, APP) as app:
            assert await app.fetch("SELECT id FROM taskmill.task") == []
        sql = await asyncpg.connect(url)
        assert await roles.are_ready(sql)
        await sql.close()


async def test_a_login_without_the_right_reads_what_it_needs(stage: Stage) -> None:
    done = await apart(run_module, as_role(stage.url, APP), "taskmill", "migrate", "--roles")
    assert done.returncode != 0
    assert "CREATEROLE" in done.stderr
    assert "Traceback" not in done.stderr
