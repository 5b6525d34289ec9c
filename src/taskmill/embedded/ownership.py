"""The lock that says which process owns a folder. It reads nothing else in it."""

import fcntl
import os
from pathlib import Path

from taskmill.embedded.errors import DataFolderInUseError, DataFolderUnusableError


class Ownership:
    """The folder `path`, and the lock on its file `owner`; the kernel releases it when the process dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the folder."""
        return self._lock is not None

    def take(self) -> None:
        """Become the only owner, making the folder when there is none.

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
        """Release the folder; idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
