"""What a process imports before it serves: memory and time that every start would pay for."""

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

# What takes long to import, and is imported by those alone that need it.
_HEAVY = ("sqlalchemy", "alembic", "fastapi", "aiohttp", "httpx", "jinja2", "textual")


def imported(statement: str) -> set[str]:
    """Return which of the heavy libraries a statement imports."""
    script = f"import sys\n{statement}\nprint(*[name for name in {_HEAVY} if name in sys.modules])"
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["taskmill.composition", "taskmill.embedded.stack"])
def test_nothing_heavy_is_imported_before_a_process_knows_its_roles(module: str) -> None:
    assert imported(f"import {module}") == set()


def test_the_api_imports_what_lists_and_pages_need_at_the_first_one() -> None:
    assert imported("import taskmill.api.app, taskmill.dashboard.app") == {"fastapi"}


def test_webhooks_import_the_client_at_the_first_delivery() -> None:
    assert imported("from taskmill.webhooks import delivery_loop, fan_out, sending") == set()


def test_a_worker_imports_the_client_for_pushes_at_the_first_push() -> None:
    statement = """
import asyncio
from taskmill.composition.handlers import pools
from taskmill.composition.process_context import ProcessContext
from taskmill.settings import load

async def make() -> None:
    assert "http" in pools(ProcessContext(load(database_url="postgresql://nowhere/none")))[0].handlers.types

asyncio.run(make())
"""
    assert imported(statement) == set()


def test_clients_import_nothing_that_knows_time_zones() -> None:
    statement = """
import sys, taskmill.client
wrong = ("cronsim", "tzdata", "taskmill.domain.schedules.zones")
print(*(name for name in wrong if name in sys.modules))
"""
    assert imported(statement) == {"httpx"}
