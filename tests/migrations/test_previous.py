"""An upgrade under load from the release before to this commit, and back: the schema first, then role by role.

The file PREVIOUS names the commit of that release. Its programs serve REST, queue and webhooks, first on their own
schema, then on today's, beside programs of today, and again after these.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import asyncpg
import httpx
import pytest

from taskmill.composition import ROLES
from taskmill.storage import migrate
from tests.chaos.history import History
from tests.chaos.recovery import not_back
from tests.chaos.seed import Plan, Report, accepts, under_load
from tests.chaos.two_versions import (
    TwoVersions,
    archived,
    extract,
    git,
    newest_migration,
    previous,
    programs_of,
)
from tests.support.endpoint import Endpoint, an_endpoint, came
from tests.support.polling import eventually
from tests.support.processes import ROOT
from tools.release.making import CHANGELOG

# The groups of programs in the order in which each takes the place of the last.
GROUPS = ("before", "now", "again")
TASKS_IN_A_STEP = 100
STEPS = 2 + len(ROLES) * (len(GROUPS) - 1)


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The folder of the programs of the release before."""
    return extract(ROOT, previous(), tmp_path / "before")


@asynccontextmanager
async def subscribed(site: TwoVersions) -> AsyncIterator[Endpoint]:
    """Subscribe an endpoint to the end of every task."""
    async with an_endpoint() as endpoint, httpx.AsyncClient(timeout=30) as http:
        made = await http.post(f"{site.api_url}/webhooks", json={"url": endpoint.url})
        assert made.status_code == 201, made.text
        yield endpoint


async def upgrade_and_go_back(site: TwoVersions, endpoint: Endpoint, history: History) -> None:
    """Migrate, then replace role by role, and back, while clients go on."""
    check = partial(check_step, site, endpoint, history)
    assert await site.schema() == site.newest_before
    await check("the programs of before on their own schema")
    await site.migrate()
    await check("the programs of before on today's schema")
    for leaving, joining in pairwise(GROUPS):
        for role in ROLES:
            await site.replace(role, leaving, joining)
            await check(f"{role}: {joining} for {leaving}")
        assert {member.name for member in site.members.values()} == {
            f"{role}-{joining}" for role in ROLES
        }
    assert await site.schema() == migrate.head()


async def check_step(site: TwoVersions, endpoint: Endpoint, history: History, step: str) -> None:
    """See every process at work, events delivered, and not one request that the service failed to serve."""
    delivered = len(endpoint.received)
    found = [*await not_back(site), *history.violations]
    assert (step, found, history.responses["5xx"]) == (step, [], 0)
    await accepts(history, len(history.accepted) + TASKS_IN_A_STEP)
    await came(endpoint, delivered + 1, timeout_s=60)


async def undelivered(site: TwoVersions, endpoint: Endpoint) -> set[str]:
    """Wait until all ends of tasks were delivered; return those that the endpoint has not got."""
    sql = await asyncpg.connect(site.database_url)

    async def probe() -> bool:
        waiting = await sql.fetchval(_WAITING)
        return not waiting

    try:
        await eventually(probe, "all events to be delivered", timeout_s=60)
        ended = await sql.fetch(_ENDED)
    finally:
        await sql.close()
    bodies = b"\n".join(one.body for one in endpoint.received).decode()
    return {row["id"] for row in ended if row["id"] not in bodies}


_WAITING = """
SELECT
    (SELECT count(*) FROM taskmill.webhook_delivery WHERE state <> 'delivered')
    + (SELECT count(*) FROM taskmill.change_batch WHERE position IS NULL)
"""
_ENDED = "SELECT id::text AS id FROM taskmill.task WHERE finished_at IS NOT NULL"


@pytest.mark.slow
async def test_an_upgrade_from_the_release_before_and_back_loses_nothing_and_fails_no_request(
    before: Path,
) -> None:
    plan = Plan(seed=1, with_broker=True, posts_per_s=30)
    report, history = Report(plan=plan), History()
    # In a short path: it has sockets.
    with tempfile.TemporaryDirectory(
        prefix="taskmill-previous-", ignore_cleanup_errors=True
    ) as folder:
        async with TwoVersions(Path(folder), before) as site, subscribed(site) as endpoint:
            upgrade = partial(upgrade_and_go_back, site, endpoint, history)
            await under_load(site, history, report, upgrade)
            assert await undelivered(site, endpoint) == set()
    print(report, dict(report.responses), f"{len(endpoint.received)} events")  # noqa: T201 - for whoever wants to know it
    assert report.violations == [], str(report)
    assert report.responses["5xx"] == 0
    assert report.accepted >= TASKS_IN_A_STEP * STEPS


def test_the_programs_of_before_are_not_those_of_now(before: Path) -> None:
    code = "import taskmill, tests.chaos.program as p; print(taskmill.__file__, p.__file__)"
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code],
        cwd="/",
        env={**os.environ, **programs_of(before)},  # noqa: TID251 - for the child
        capture_output=True,
        text=True,
        check=True,
    )
    found = [Path(file).relative_to(before).as_posix() for file in done.stdout.split()]
    assert found == ["src/taskmill/__init__.py", "tests/chaos/program.py"]
    assert newest_migration(before) <= newest_migration(ROOT) == migrate.head()


def test_they_are_those_of_a_release(tmp_path: Path) -> None:
    """The newest one, or the one before while the newest is being made."""
    version = "src/taskmill/version.py"
    with archived(ROOT, previous(), version) as tar:
        tar.extractall(tmp_path, filter="data")
    released = re.findall(r"^## \[(\d.*)\]", CHANGELOG.read_text("utf-8"), re.MULTILINE)[:2]
    assert (
        re.findall(r'VERSION.* = .*"(.+)"', (tmp_path / version).read_text("utf-8"))[0] in released
    )


def test_a_folder_without_history_skips_with_a_line_that_says_what_to_do(tmp_path: Path) -> None:
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    whole.mkdir()
    git(whole, "init")
    for message in ("first", "second"):
        git(whole, *who, "commit", "--allow-empty", "--message", message)
    git(tmp_path, "clone", "--depth", "1", f"file://{whole}", str(shallow))
    first = git(whole, "rev-list", "--max-parents=0", "HEAD").stdout.decode().strip()
    for folder in (shallow, tmp_path):
        with pytest.raises(pytest.skip.Exception, match=f"{first}.*git fetch --unshallow") as why:
            extract(folder, first, tmp_path / "before")
        assert "\n" not in str(why.value)


def test_without_git_it_skips_for_that_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="No such file or directory: 'git'"):
        extract(ROOT, previous(), tmp_path / "before")
