"""A dump of the schema, made as the pages say, can be restored into an empty database."""

import subprocess
from pathlib import Path

import asyncpg

from taskmill.embedded.binaries import find_binaries
from tests.support.migrating import ROOT, apart
from tests.support.postgres import chosen_bin_dir
from tests.support.stage import Stage

OPTIONS = "pg_dump -n taskmill -e pg_trgm"
COMMANDS = {
    "docs/operations/backup.md": OPTIONS,
    "docs/how-to/deploy.md": OPTIONS,
    "docs/how-to/stop-and-upgrade.md": OPTIONS,
    "docs/operations/containers.md": "pg_dump -U taskmill -n taskmill -e pg_trgm",
}
INDEXES = """
    SELECT indexrelid::regclass::text, indisvalid, pg_get_indexdef(indexrelid) FROM pg_index
    WHERE indrelid = 'taskmill.task'::regclass ORDER BY 1
"""


def program(name: str) -> Path:
    return find_binaries(chosen_bin_dir(), data_dir=Path(), data_major=None).folder / name


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - PostgreSQL's own
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_dump_is_restored_without_errors(
    stage: Stage, empty_database_url: str, tmp_path: Path
) -> None:
    await stage.created(name="Игла")
    _, *options = OPTIONS.split()
    dump = tmp_path / "dump.sql"
    await apart(run, program("pg_dump"), *options, "-f", dump, "-d", stage.url)
    restore = (program("psql"), "-v", "ON_ERROR_STOP=1", "-f", dump, "-d", empty_database_url)
    await apart(run, *restore)
    restored = await asyncpg.connect(empty_database_url)
    assert await restored.fetchval("SELECT name FROM taskmill.task") == "Игла"
    assert await restored.fetch(INDEXES) == await stage.sql.fetch(INDEXES)
    await restored.close()


def test_the_pages_show_that_command() -> None:
    for page, command in COMMANDS.items():
        assert command in (ROOT / page).read_text(encoding="utf-8")
