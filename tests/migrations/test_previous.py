"""The programs of before on the schema of now: alone, beside those of now, and again after them.

The file PREVIOUS names a commit. Its API, worker, relay, intake and maintenance run on today's schema, under load.
They run in this environment, with today's packages. That is enough: what a migration can break are statements, and
these are the commit's own.
"""

import asyncio
import io
import itertools
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.chaos.edges import Edge
from tests.chaos.history import History
from tests.chaos.recovery import not_back
from tests.chaos.seed import Plan, Report, accepts, under_load
from tests.chaos.site import Site
from tests.support.processes import ROOT

PREVIOUS = Path(__file__).with_name("PREVIOUS")
ROLES = ("api", "maintenance", "worker", "relay", "intake")
# Who joins at the beginning of each phase, and who then leaves.
PHASES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "the programs of before": ("", ""),
        "those of now beside them": ("now", ""),
        "those of now alone": ("", "before"),
        "one step back": ("again", ""),
        "those of before alone": ("", "now"),
    }
)
TASKS_IN_A_PHASE = 200
# Nothing is done to the servers: what fails for being late is a matter of the machine.
PATIENT = {
    "TASKMILL_DATABASE__CONNECT_TIMEOUT_S": "30",
    "TASKMILL_DATABASE__STATEMENT_TIMEOUT_S": "30",
    "TASKMILL_LIMITS__REQUEST_TIMEOUT_S": "30",
}


def git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)  # noqa: S603, S607 - our own words


def extract(root: Path, commit: str, folder: Path) -> Path:
    """Write the commit's programs into the folder; a clone that does not have it fails with one line."""
    archive = git(root, "archive", commit, "src", "tests")
    if archive.returncode != 0:
        reason = archive.stderr.decode().strip().rpartition("\n")[2]
        pytest.fail(
            f"tests/migrations/PREVIOUS names {commit}, which is not in this clone ({reason}): "
            "git fetch --unshallow brings it",
            pytrace=False,
        )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The folder of the commit's programs."""
    return extract(ROOT, PREVIOUS.read_text(encoding="utf-8").strip(), tmp_path / "before")


def programs_of(root: Path) -> dict[str, str]:
    """Return the environment of programs that run from a folder."""
    return {
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        # Lines of before are not the project's.
        "COVERAGE_PROCESS_START": "",
    }


class TwoVersions(Site):
    """A process of each role in each group; groups join and leave. Only the programs of `now` are today's."""

    def __init__(self, folder: Path, before: Path) -> None:
        super().__init__(folder, with_broker=True, policy="auto")
        self._before = before
        self._requests = itertools.count()

    @property
    def api_url(self) -> str | None:
        """The address of one of the APIs, each in turn; None while it starts."""
        apis = self.of("api")
        return apis[next(self._requests) % len(apis)].url

    async def join(self, group: str) -> None:
        for role in ROLES:
            name = f"{role}-{group}"
            self.members[name] = await self._member(name, self._stack)
            self.members[name].start()
        # Before the edges are closed, which are new on the stack.
        self._stack.push_async_callback(self._end_all)
        await self.serves()

    async def leave(self, group: str) -> None:
        """Stop them in order; new requests go elsewhere from the beginning."""
        members = [self.members.pop(f"{role}-{group}") for role in ROLES]
        processes = [member.program.process for member in members if member.program is not None]
        for process in processes:
            process.terminate()
        try:
            statuses = [await asyncio.to_thread(process.wait, 30) for process in processes]
        finally:
            for process in processes:
                process.kill()
        assert statuses == [0] * len(ROLES)

    def _names(self) -> list[str]:
        return [f"{role}-before" for role in ROLES]

    def _env(self, name: str, folder: Path, to_database: Edge) -> dict[str, str]:
        env = super()._env(name, folder, to_database) | PATIENT
        return env if name.endswith("-now") else env | programs_of(self._before)


async def upgrade_and_go_back(site: TwoVersions, history: History) -> None:
    """Go through the phases while clients go on; in each of them every process works, and no request fails."""
    for phase, (joining, leaving) in PHASES.items():
        if joining:
            await site.join(joining)
        if leaving:
            await site.leave(leaving)
        found = [*await not_back(site), *history.violations]
        assert (phase, found, history.responses["5xx"]) == (phase, [], 0)
        await accepts(history, len(history.accepted) + TASKS_IN_A_PHASE)


@pytest.mark.slow
async def test_programs_of_before_run_with_this_schema_and_beside_those_of_now(
    before: Path,
) -> None:
    plan = Plan(seed=1, with_broker=True, posts_per_s=30, delays_s=(0, 0, 0.02, 0.1, 0.4, 1.2))
    report, history = Report(plan=plan), History()
    # In a short path: it has sockets.
    with tempfile.TemporaryDirectory(
        prefix="taskmill-previous-", ignore_cleanup_errors=True
    ) as folder:
        async with TwoVersions(Path(folder), before) as site:
            await under_load(site, history, report, partial(upgrade_and_go_back, site, history))
    assert report.violations == [], str(report)
    assert report.responses["5xx"] == 0
    assert report.accepted >= TASKS_IN_A_PHASE * len(PHASES)


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


def test_a_clone_without_history_fails_with_a_line_that_says_what_to_do(tmp_path: Path) -> None:
    whole, shallow = tmp_path / "whole", tmp_path / "shallow"
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    whole.mkdir()
    git(whole, "init")
    for message in ("first", "second"):
        git(whole, *who, "commit", "--allow-empty", "--message", message)
    git(tmp_path, "clone", "--depth", "1", f"file://{whole}", str(shallow))
    first = git(whole, "rev-list", "--max-parents=0", "HEAD").stdout.decode().strip()
    with pytest.raises(pytest.fail.Exception, match=f"{first}.*git fetch --unshallow") as failed:
        extract(shallow, first, tmp_path / "before")
    assert "\n" not in str(failed.value)
