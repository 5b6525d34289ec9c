"""The folder of one embedded server: its owner, and where things are in it.

It holds `cluster` (PostgreSQL's data), `password`, `postgres.log`, `owner` (locked while a process
owns the folder) and, while the server runs, `socket`. It does not look into the cluster.
"""

import os
import shutil
import tempfile
from pathlib import Path

from taskmill.embedded.ownership import Ownership

# sun_path has 104 bytes on macOS and 108 on Linux; PostgreSQL appends "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_FOLDER = 84


class DataFolder(Ownership):
    """Paths, ownership and the short-lived parts of a data folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.cluster = path / "cluster"
        self.password = path / "password"
        self.log = path / "postgres.log"

    @property
    def data_major(self) -> int | None:
        """The major version that made the data; None when there is none."""
        version = self.cluster / "PG_VERSION"
        return int(version.read_text()) if version.exists() else None

    def release(self) -> None:
        """Remove what is needed at run time only, and release the folder; idempotent."""
        if self.is_held:
            self._remove_socket_folder()
            super().release()

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

    def _remove_socket_folder(self) -> None:
        folder = self.path / "socket"
        if folder.is_symlink():
            shutil.rmtree(folder.readlink(), ignore_errors=True)
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)
