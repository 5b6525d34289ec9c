"""The user that the server runs as when root starts it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill.embedded.binaries import find_binaries
from taskmill.embedded.errors import RootNotPossibleError
from taskmill.embedded.identity import choose_identity
from taskmill.embedded.postgres import EmbeddedPostgres
from tests.support.postgres import FAST_SETTINGS, chosen_bin_dir

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="an ordinary user runs PostgreSQL as that user"
)
NOBODY = 65534


@pytest.fixture
def without_unshare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system that forbids user namespaces; gives the folder that is first on PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    forbid(folder, "unshare")
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def forbid(folder: Path, program: str) -> None:
    (folder / program).write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    (folder / program).chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="taskmill-open-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def bin_dir_for_nobody() -> Path:
    """A PostgreSQL that uid 65534 may run: an environment in a private folder is not."""
    chosen = find_binaries(chosen_bin_dir(), data_dir=Path(), data_major=None).folder
    for folder in (chosen, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)):
        command = [
            "setpriv",
            f"--reuid={NOBODY}",
            "--clear-groups",
            "test",
            "-x",
            f"{folder}/initdb",
        ]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:  # noqa: S603 - fixed words
            return folder
    pytest.skip("no PostgreSQL here that uid 65534 may run")


def test_root_gets_a_user_namespace_that_changes_no_owner(
    server: EmbeddedPostgres, data_dir: Path
) -> None:
    assert choose_identity(data_dir).prefix[0] == "unshare"
    with server:
        assert (data_dir / "cluster" / "base").stat().st_uid == 0


@pytest.mark.usefixtures("without_unshare")
def test_root_without_namespaces_becomes_nobody(open_folder: Path) -> None:
    data = open_folder / "data"
    server = EmbeddedPostgres(data, bin_dir=bin_dir_for_nobody(), settings=FAST_SETTINGS)
    for _ in range(2):
        with server:
            assert server.pid
            assert Path(f"/proc/{server.pid}").stat().st_uid == NOBODY
            assert (data / "cluster").stat().st_uid == NOBODY


@pytest.mark.usefixtures("without_unshare")
def test_programs_that_nobody_can_run_are_refused_with_advice(open_folder: Path) -> None:
    private = open_folder / "private"
    private.mkdir(mode=0o700)
    programs = private / "bin"
    programs.symlink_to(bin_dir_for_nobody())
    server = EmbeddedPostgres(open_folder / "data", bin_dir=programs, settings=FAST_SETTINGS)
    with (
        pytest.raises(RootNotPossibleError, match=r"cannot run the programs in.*/opt/taskmill"),
        server,
    ):
        pass


@pytest.mark.usefixtures("without_unshare")
def test_a_folder_that_nobody_can_enter_is_refused_with_advice(open_folder: Path) -> None:
    open_folder.chmod(0o700)
    with pytest.raises(RootNotPossibleError, match=r"cannot enter.*--data /var/lib/taskmill"):
        choose_identity(open_folder / "data")


def test_root_without_any_way_gets_advice(without_unshare: Path) -> None:
    forbid(without_unshare, "setpriv")
    with pytest.raises(RootNotPossibleError, match="ordinary user, or set TASKMILL_DATABASE_URL"):
        choose_identity(without_unshare)


def test_missing_programs_count_as_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("unshare") is None
    with pytest.raises(RootNotPossibleError):
        choose_identity(tmp_path)
