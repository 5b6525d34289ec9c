"""Shared by tests of migrations: the files, queries on a database by its address, downgrades by Alembic."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, TypeVar

import asyncpg

from taskmill.storage import migrate, roles
from tests.support.roles import PASSWORDS

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = sorted((migrate.MIGRATIONS / "versions").glob("[0-9]*_*.py"))
T = TypeVar("T")


def migrate_with_roles(url: str) -> None:
    """Do what `taskmill migrate --roles` does; no event loop may run in this thread."""
    migrate.upgrade(url)
    asyncio.run(roles.apply(url, PASSWORDS))


async def fetch_rows(url: str, query: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def applied(url: str) -> str | None:
    connection = await asyncpg.connect(url)
    try:
        return await migrate.applied(connection)
    finally:
        await connection.close()


async def apart(work: Callable[..., T], *arguments: object) -> T:
    """Call a function that runs an event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return await asyncio.wrap_future(thread.submit(work, *arguments))


def downgrade(url: str, revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    config.attributes[migrate.URL_OPTION] = url
    command.downgrade(config, revision)


def with_more(folder: Path, *upgrades: str) -> Path:
    """Copy the migrations into a folder, and add one for each body of an `upgrade()`: 9001 and so on."""
    copy, before = shutil.copytree(migrate.MIGRATIONS, folder / "migrations"), migrate.head()
    for number, body in enumerate(upgrades, 9001):
        text = _MORE.format(number=number, before=before, body=indent(dedent(body), "    "))
        (copy / "versions" / f"{number}_more.py").write_text(text, encoding="utf-8")
        before = str(number)
    return copy


_MORE = """from alembic import op

revision = "{number}"
down_revision = "{before}"


def upgrade() -> None:
{body}
"""


def run_module(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m …` in the root of the project, with this database in the environment."""
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "TASKMILL_DATABASE_URL": url},  # noqa: TID251 - for the child
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
