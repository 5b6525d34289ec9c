"""Copies of the repository to start from nothing."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTHING: Mapping[str, str] = MappingProxyType({})
STAND_IN = "import sys\nprint(sys.argv[1:], sys.version_info[:2])\n"


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A copy of the repository, and the environment in which its scripts are called."""

    path: Path
    env: Mapping[str, str] = field(default_factory=dict)

    def call(
        self, *command: str | Path, check: bool = True, env: Mapping[str, str] = NOTHING
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the parent folder and return what it printed."""
        done = subprocess.run(  # noqa: S603 - our own scripts
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            cwd=self.path.parent,
            env={**plain_environment(), **self.env, **env},
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def taskmill(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the bootstrap, which has to succeed."""
        return self.call(self.path / "taskmill", *arguments, env=env)


def plain_environment() -> dict[str, str]:
    """The environment of a user's shell, without what a test run adds to it."""
    dropped = ("COVERAGE_", "PYTHON", "VIRTUAL_ENV", "TASKMILL_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}  # noqa: TID251 - for a child


def clone(target: Path) -> Path:
    """Clone the repository as a stranger would."""
    git = shutil.which("git")
    assert git, "these tests clone the repository, so they need git"
    subprocess.run([git, "clone", "--quiet", ROOT, target], check=True)  # noqa: S603 - fixed words
    return target


@pytest.fixture(scope="module")
def cloned(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A clean clone in a path with a space."""
    return Checkout(path=clone(tmp_path_factory.mktemp("a clone") / "task mill"))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Checkout]:
    """The repository's scripts, with nothing to install and a program that prints its arguments."""
    path = tmp_path / "task mill"
    shutil.copytree(ROOT / "scripts", path / "scripts")
    shutil.copy(ROOT / "taskmill", path)
    (path / "requirements").mkdir()
    for lock in ("run", "test"):
        (path / "requirements" / f"{lock}.txt").write_text("# nothing\n")
    (path / "src" / "taskmill").mkdir(parents=True)
    (path / "src" / "taskmill" / "__main__.py").write_text(STAND_IN)
    yield Checkout(path=path)
    shutil.rmtree(path)
