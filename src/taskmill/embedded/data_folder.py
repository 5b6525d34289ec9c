"""The folder of one embedded server: its owner, and where things are in it.

It holds `cluster` (PostgreSQL's data), `password`, `postgres.log`, `owner` (locked while a process
owns the folder) and, while the server runs, `socket`. It does not look into the cluster.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from taskmill.embedded.ownership import Ownership
from taskmill.embedded.private_files import open_log

# sun_path has 104 bytes on macOS and 108 on Linux; PostgreSQL appends "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_FOLDER = 84


@dataclass(slots=True)
class DataFolder:
    """Paths, ownership and the short-lived parts of a data folder."""

    path: Path
    _ownership: Ownership = field(init=False)

    def __post_init__(self) -> None:
        self._ownership = Ownership(self.path)

    @property
    def cluster(self) -> Path:
        """Where PostgreSQL keeps its data."""
        return self.path / "cluster"

    @property
    def password(self) -> Path:
        """The file with the superuser's password."""
        return self.path / "password"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.path / "postgres.log"

    @property
    def data_major(self) -> int | None:
        """The major version that made the data; None when there is none."""
        version = self.cluster / "PG_VERSION"
        return int(version.read_text()) if version.exists() else None

    def take(self) -> None:
        """Become the only owner; the kernel gives the folder back when this process dies.

        Raises:
            DataFolderInUseError: another process owns it.
            DataFolderUnusableError: it cannot be made or written.
        """
        self._ownership.take()

    def release(self) -> None:
        """Remove what is needed at run time only, and release the folder; idempotent."""
        if self._ownership.is_held:
            self._remove_socket_folder()
            self._ownership.release()

    def make_socket_folder(self) -> Path:
        """Make the socket's private folder; a short one elsewhere when its path is unsuitable."""
        self._remove_socket_folder()
        folder = self.path / "socket"
        # Drivers take a comma in an address for the start of a second host.
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER and "," not in str(folder):
            folder.mkdir(mode=0o700)
            return folder
        base = tempfile.gettempdir()
        if len(os.fsencode(base)) > _LONGEST_SOCKET_FOLDER - len("/taskmill-12345678"):
            base = "/tmp"  # noqa: S108 - mkdtemp makes a private folder in it
        short = Path(tempfile.mkdtemp(prefix="taskmill-", dir=base))
        # By this link the next start finds and removes the folder when this process is killed.
        folder.symlink_to(short)
        return short

    def open_log(self) -> BinaryIO:
        """Open the log to append; a large one is renamed first."""
        return open_log(self.log)

    def _remove_socket_folder(self) -> None:
        folder = self.path / "socket"
        if folder.is_symlink():
            shutil.rmtree(folder.readlink(), ignore_errors=True)
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)
