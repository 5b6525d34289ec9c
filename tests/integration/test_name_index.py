"""The index over names is made and dropped while others work, and what stopped half-way is finished or removed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from taskmill.storage import name_index
from tests.support.api import LogLines
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.stage import Stage

INDEX = (
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('taskmill.task_name_trigrams')"
)
WEEKS = """
    SELECT c.relname FROM pg_inherits AS i INNER JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'taskmill.task'::regclass ORDER BY c.relname
"""
PARTS = "SELECT inhrelid FROM pg_inherits WHERE inhparent = 'taskmill.task_name_trigrams'::regclass"
OF_WEEKS = "SELECT count(*) FROM pg_class WHERE relname LIKE 'task_%_task_name_trigrams'"
TRIGRAMS = "USING gin (taskmill.name_key(name) public.gin_trgm_ops)"
NOT_VALID = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::regclass"


@pytest.fixture
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_index, "_LOCK_MS", 50)
    monkeypatch.setattr(name_index, "_TRIES", 2)
    monkeypatch.setattr(name_index, "_PAUSE_S", 0.01)


async def for_each_week(stage: Stage) -> list[str]:
    """Drop the index, and make those of all weeks: as if a try had stopped just before its end."""
    weeks = [row["relname"] for row in await stage.sql.fetch(WEEKS)]
    await stage.sql.execute("DROP INDEX IF EXISTS taskmill.task_name_trigrams")
    for week in weeks:
        await stage.sql.execute(
            f"CREATE INDEX {week}_task_name_trigrams ON taskmill.{week} {TRIGRAMS}"
        )
    return weeks


@asynccontextmanager
async def busy(stage: Stage, table: str, mode: str) -> AsyncIterator[None]:
    """Hold a lock on a table in another session."""
    holder = await asyncpg.connect(stage.url)
    async with holder.transaction():
        await holder.execute(f"LOCK TABLE ONLY taskmill.{table} IN {mode} MODE")
        yield
    await holder.close()


async def oid_of(stage: Stage, index: str) -> int:
    oid: int = await stage.sql.fetchval("SELECT $1::text::regclass::oid", f"taskmill.{index}")
    return oid


async def test_valid_indexes_of_an_earlier_try_stay_and_others_are_made_anew(
    stage: Stage, log_lines: LogLines
) -> None:
    first, second, *_ = [f"{week}_task_name_trigrams" for week in await for_each_week(stage)]
    await stage.sql.execute(NOT_VALID, f"taskmill.{second}")
    before = [await oid_of(stage, index) for index in (first, second)]
    await name_index.apply(stage.url, is_wanted=True)
    assert await stage.sql.fetchval(INDEX) is True
    after = [await oid_of(stage, index) for index in (first, second)]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert set(after) <= {row["inhrelid"] for row in await stage.sql.fetch(PARTS)}
    assert log_lines.named("name_index.making")
    assert log_lines.named("name_index.made")


async def test_an_index_that_is_not_valid_is_made_anew(stage: Stage) -> None:
    await stage.sql.execute(NOT_VALID, "taskmill.task_name_trigrams")
    before = await oid_of(stage, "task_name_trigrams")
    await name_index.apply(stage.url, is_wanted=True)
    assert await stage.sql.fetchval(INDEX) is True
    assert await oid_of(stage, "task_name_trigrams") != before


async def test_where_it_is_not_wanted_what_an_earlier_try_has_made_is_dropped(
    stage: Stage, log_lines: LogLines
) -> None:
    await for_each_week(stage)
    await name_index.apply(stage.url, is_wanted=False)
    assert await stage.sql.fetchval(OF_WEEKS) == 0
    assert len(log_lines.named("name_index.dropped")) == 1
    await name_index.apply(stage.url, is_wanted=False)
    assert len(log_lines.named("name_index.dropped")) == 1


async def test_a_week_that_is_dropped_meanwhile_is_passed_over(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await name_index.apply(stage.url, is_wanted=False)
    with_another = f"SELECT 'task_2020w01' AS relname UNION ALL ({name_index._WEEKS})"
    monkeypatch.setattr(name_index, "_WEEKS", with_another)
    await name_index.apply(stage.url, is_wanted=True)
    assert await stage.sql.fetchval(INDEX) is True


async def test_it_may_take_longer_than_the_database_gives_a_statement(stage: Stage) -> None:
    await name_index.apply(stage.url, is_wanted=False)
    [week, *_] = [row["relname"] for row in await stage.sql.fetch(WEEKS)]
    database = await stage.sql.fetchval("SELECT current_database()")
    for name in ("statement_timeout", "lock_timeout"):
        await stage.sql.execute(f"ALTER DATABASE {database} SET {name} = '100ms'")

    async def has_waited_longer() -> bool:
        return bool(
            await stage.sql.fetch(
                "SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' "
                "AND state = 'active' AND clock_timestamp() - query_start > interval '0.3 s'"
            )
        )

    async with asyncio.TaskGroup() as group, busy(stage, week, "ROW EXCLUSIVE"):
        group.create_task(name_index.apply(stage.url, is_wanted=True))
        await eventually(has_waited_longer, "it to wait for who writes")
    assert await stage.sql.fetchval(INDEX) is True


@pytest.mark.usefixtures("quick_tries")
@pytest.mark.parametrize(
    ("is_wanted", "mode", "event"),
    [
        (True, "ROW EXCLUSIVE", "name_index.left_out"),
        (False, "ACCESS SHARE", "name_index.retained"),
    ],
)
async def test_a_week_that_stays_busy_leaves_the_index_as_it_is(
    stage: Stage, log_lines: LogLines, *, is_wanted: bool, mode: str, event: str
) -> None:
    if is_wanted:
        await for_each_week(stage)
    async with busy(stage, "task_default", mode):
        await name_index.apply(stage.url, is_wanted=is_wanted)
    [line] = log_lines.named(event)
    assert "statement timeout" in line["reason"]
    assert await stage.sql.fetchval(INDEX) is (None if is_wanted else True)
    await name_index.apply(stage.url, is_wanted=is_wanted)
    assert await stage.sql.fetchval(INDEX) is (True if is_wanted else None)


@pytest.mark.usefixtures("quick_tries")
async def test_tasks_are_created_between_tries_to_lock_a_busy_week(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_index, "_TRIES", 10_000)
    await for_each_week(stage)
    async with asyncio.TaskGroup() as group, busy(stage, "task_default", "ROW EXCLUSIVE"):
        making = group.create_task(name_index.apply(stage.url, is_wanted=True))
        await until_blocked(stage)
        await stage.created(name="Игла")
        assert not making.done()
    assert await stage.sql.fetchval(INDEX) is True


@pytest.mark.parametrize(
    ("is_wanted", "event"), [(True, "name_index.left_out"), (False, "name_index.retained")]
)
async def test_a_database_that_is_away_is_a_warning(
    log_lines: LogLines, *, is_wanted: bool, event: str
) -> None:
    await name_index.apply("postgresql://nobody@127.0.0.1:1/none", is_wanted=is_wanted)
    [line] = log_lines.named(event)
    assert line["level"] == "warning"


async def test_its_definition_needs_no_search_path(stage: Stage) -> None:
    """A restore has an empty one: the index is made from its definition as a dump shows it."""
    await stage.created(name="Игла")
    await stage.sql.execute("SELECT set_config('search_path', '', false)")
    definition = await stage.sql.fetchval(
        "SELECT pg_get_indexdef('taskmill.task_name_trigrams'::regclass)"
    )
    await stage.sql.execute("DROP INDEX taskmill.task_name_trigrams")
    await stage.sql.execute(definition.replace(" ON ONLY ", " ON "))
    assert await stage.sql.fetchval(INDEX) is True
