"""A site with the programs of the release before, those of now, or both; it begins with the schema of before.

The programs of before come from the history of the clone. They run in this environment, with today's packages:
what a migration can break are statements, and these are the release's own.
"""

import asyncio
import io
import itertools
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import asyncpg
import pytest

from taskmill.composition import ROLES
from taskmill.storage import migrate
from taskmill.storage.rights import ENQUEUE
from tests.chaos.edges import Edge
from tests.chaos.site import Site
from tests.support.processes import ROOT, environment
from tests.support.roles import PASSWORDS

PREVIOUS = ROOT / "tests" / "migrations" / "PREVIOUS"
_TRIES = 5
_TIMEOUT_S = 120.0
# Nothing is done to the servers: what fails for being late is a matter of the machine.
_PATIENT = {
    "TASKMILL_DATABASE__CONNECT_TIMEOUT_S": "30",
    "TASKMILL_DATABASE__STATEMENT_TIMEOUT_S": "30",
    "TASKMILL_LIMITS__REQUEST_TIMEOUT_S": "30",
    # Endpoints of tests are on this machine.
    "TASKMILL_OUTBOUND__ALLOW": "127.0.0.1",
}
# Programs that create tasks log in as themselves.
_PASSWORDS = {
    f"TASKMILL_ROLES__{role.removeprefix('taskmill_').upper()}_PASSWORD": password
    for role, password in PASSWORDS.items()
    if role != ENQUEUE
}


def previous() -> str:
    """Return the commit of the release before, as the file PREVIOUS names it."""
    return PREVIOUS.read_text(encoding="utf-8").strip()


def git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in a folder; where there is no git it fails as git does."""
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)  # noqa: S603, S607 - our own words
    except FileNotFoundError as error:
        return subprocess.CompletedProcess(words, 127, b"", str(error).encode())


def archived(root: Path, commit: str, *paths: str) -> tarfile.TarFile:
    """Return files of a commit; where a folder does not have it, such as a shallow clone, skip with one line."""
    archive = git(root, "archive", commit, *paths)
    if archive.returncode != 0:
        reason = archive.stderr.decode().strip().rpartition("\n")[2]
        pytest.skip(
            f"tests/migrations/PREVIOUS names {commit}, which is not in this clone ({reason}): "
            "git fetch --unshallow brings it"
        )
    return tarfile.open(fileobj=io.BytesIO(archive.stdout))


def extract(root: Path, commit: str, folder: Path) -> Path:
    """Write the commit's programs into the folder."""
    with archived(root, commit, "src", "tests") as tar:
        tar.extractall(folder, filter="data")
    return folder


def programs_of(root: Path) -> dict[str, str]:
    """Return the environment of programs that run from a folder."""
    return {
        "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}",
        # Lines of before are not the project's.
        "COVERAGE_PROCESS_START": "",
    }


def newest_migration(root: Path) -> str:
    """Return the number of the newest migration of the programs in a folder."""
    folder = root / "src" / "taskmill" / "storage" / "migrations" / "versions"
    return max(file.name[:4] for file in folder.glob("[0-9]*_*.py"))


class TwoVersions(Site):
    """A process of each role in each group that has joined. Only the programs of the group `now` are today's."""

    def __init__(self, folder: Path, before: Path) -> None:
        super().__init__(folder, with_broker=True, policy="auto")
        self._before = before
        self._requests = itertools.count()

    @property
    def api_url(self) -> str | None:
        """The address of one of the APIs that serve, each in turn."""
        serving = [url for member in self.of("api") if (url := member.url)]
        return serving[next(self._requests) % len(serving)] if serving else None

    @property
    def newest_before(self) -> str:
        """The newest schema that the programs of before know."""
        return newest_migration(self._before)

    async def schema(self) -> str | None:
        """Return the number of the schema that the database has."""
        sql = await asyncpg.connect(self.database_url)
        try:
            return await migrate.applied(sql)
        finally:
            await sql.close()

    async def replace(self, role: str, leaving: str, joining: str) -> None:
        """Restart a role as a rolling upgrade does: the new process serves before the old one is stopped."""
        await self.join(role, joining)
        await self.leave(role, leaving)

    async def join(self, role: str, group: str) -> None:
        """Start a process of a role, and wait until it serves."""
        name = f"{role}-{group}"
        self.members[name] = await self._member(name, self._stack)
        self.members[name].start()
        # Before the edges are closed, which are new on the stack.
        self._stack.push_async_callback(self._end_all)
        await self.serves()

    async def leave(self, role: str, group: str) -> None:
        """Stop a process as an operator does; new requests go elsewhere from the beginning."""
        member = self.members.pop(f"{role}-{group}")
        assert member.program is not None
        process = member.program.process
        process.terminate()
        try:
            assert await asyncio.to_thread(process.wait, 30) == 0, member.folder
        finally:
            process.kill()

    async def migrate(self) -> int:
        """Run today's `taskmill migrate`, again when it got no lock in time; return how often."""
        for tries in range(1, _TRIES + 1):
            status, printed = await self._migrate("migrate", env={})
            if status == 0:
                return tries
            assert "lock timeout" in printed, printed
        raise AssertionError(f"no lock within {_TRIES} tries")

    async def _make_schema(self) -> None:
        env = programs_of(self._before) | _PASSWORDS
        status, printed = await self._migrate("migrate", "--roles", env=env)
        assert status == 0, printed

    async def _migrate(self, *words: str, env: dict[str, str]) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "taskmill", *words),
            cwd=self.folder,
            env={**environment(), "TASKMILL_DATABASE_URL": self.database_url, **env},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(_TIMEOUT_S):
            printed, _ = await process.communicate()
        return process.returncode, printed.decode()

    def _names(self) -> list[str]:
        return [f"{role}-before" for role in ROLES]

    def _env(self, name: str, folder: Path, to_database: Edge) -> dict[str, str]:
        env = super()._env(name, folder, to_database) | _PATIENT
        return env if name.endswith("-now") else env | programs_of(self._before)
