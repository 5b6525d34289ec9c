"""The migration of indexes for searches can be repeated, and a step back drops what the program has made."""

import asyncpg
import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.storage import migrate
from tests.support.migrating import apart, applied, downgrade, fetch_rows

WEEKS = """
    SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = 'taskmill.task'::regclass ORDER BY 1
"""
INDEXES = """
    SELECT indexrelid::regclass::text, indisvalid FROM pg_index
    WHERE indrelid = 'taskmill.task'::regclass ORDER BY 1
"""
LEFT_OVER = """
    SELECT relname::text FROM pg_class WHERE relname LIKE '%name_trigrams' OR relname = 'left_alone'
"""


async def test_it_can_be_repeated_after_a_week_was_busy(empty_database_url: str) -> None:
    """What was made before it failed is there already."""
    url = empty_database_url
    await apart(migrate.upgrade, url, "0027")
    [*_, (last_week,)] = await fetch_rows(url, WEEKS)
    holder = await asyncpg.connect(url)
    async with holder.transaction():
        await holder.execute(f"LOCK TABLE {last_week} IN ROW EXCLUSIVE MODE")
        with pytest.raises(ConfigurationError, match="due to lock timeout"):
            await apart(migrate.upgrade, url, "0028")
    await holder.close()
    assert await applied(url) == "0027"
    await apart(migrate.upgrade, url, "0028")
    assert await applied(url) == "0028"
    indexes = await fetch_rows(url, INDEXES)
    assert all(is_valid for _, is_valid in indexes)
    made = {"taskmill.task_type_status_id", "taskmill.task_labels", "taskmill.task_error"}
    assert made <= {name for name, _ in indexes}


async def test_a_step_back_drops_an_index_over_names_that_was_made_for_some_weeks_only(
    database_url: str,
) -> None:
    url = database_url
    [(week,), *_] = await fetch_rows(url, WEEKS)
    trigrams = "USING gin (taskmill.name_key(name) public.gin_trgm_ops)"
    await fetch_rows(url, "DROP INDEX taskmill.task_name_trigrams")
    name = week.removeprefix("taskmill.") + "_task_name_trigrams"
    await fetch_rows(url, f"CREATE INDEX {name} ON {week} {trigrams}")
    await fetch_rows(url, f"CREATE INDEX left_alone ON {week} (name)")
    await apart(downgrade, url, "0027")
    assert await fetch_rows(url, LEFT_OVER) == [("left_alone",)]
