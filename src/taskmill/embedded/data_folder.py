"""The folder of one embedded server: who owns it, and where things are in it.

It holds `cluster` (PostgreSQL's data), `password`, `postgres.log`, `owner` (locked while a process
owns the folder) and, while the server runs, `socket`. It does not look into the cluster.
"""

import fcntl
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from taskmill.embedded.errors import DataFolderInUseError, DataFolderUnusableError

# sun_path has 104 bytes on macOS and 108 on Linux; PostgreSQL appends "/.s.PGSQL.5432.lock".
_LONGEST_SOCKET_FOLDER = 84
_LARGEST_LOG = 8 * 1024 * 1024


@dataclass(slots=True)
class DataFolder:
    """Paths, ownership and the short-lived parts of a data folder."""

    path: Path
    _lock: int | None = field(default=None, init=False)

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
        """What the server says."""
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
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.path / "owner", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise DataFolderUnusableError(self.path, error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 20).strip()
            os.close(lock)
            raise DataFolderInUseError(self.path, int(owner) if owner else None) from None
        self._lock = lock
        os.truncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Remove what is needed at run time only, and let go of the folder; idempotent."""
        if self._lock is not None:
            self._remove_socket_folder()
            os.close(self._lock)
            self._lock = None

    def make_socket_folder(self) -> Path:
        """Make the socket's private folder; a short one elsewhere when its path does not do."""
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
        """Open the log to append; a large one is put aside first."""
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.fdopen(os.open(self.log, flags, 0o600), "ab")

    def _remove_socket_folder(self) -> None:
        folder = self.path / "socket"
        if folder.is_symlink():
            shutil.rmtree(folder.readlink(), ignore_errors=True)
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)
