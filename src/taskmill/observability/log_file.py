"""A log file of bounded size that several processes append to.

Each of them writes whole lines at once, which the kernel appends without mixing them. Whoever fills the file
renames it, under a lock that ends with the process. The others see before they write that theirs is not the
current one any more; a line that is written in that moment is in the renamed file.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class LogFile:
    """`path`, and `path` with .1, .2, …, from newer to older: `files` in all, each of about `max_bytes`."""

    def __init__(self, path: Path, *, max_bytes: int, files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._fd: int | None = None

    def open(self) -> int:
        """Return the descriptor of the current file, which is made if there is none. Raises `OSError`."""
        if self._fd is not None and self._is_current(self._fd):
            return self._fd
        self.close()
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return self._fd

    def put(self, data: bytes) -> None:
        """Append whole lines. Where that is impossible, as on a full disk, they are lost."""
        with suppress(OSError):
            fd = self.open()
            os.write(fd, data)
            if os.fstat(fd).st_size >= self._max_bytes:
                self._rotate(fd)

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _is_current(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False

    def _rotate(self, fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            if self._is_current(fd):  # no other process was faster
                older = [
                    self._path.with_name(f"{self._path.name}.{n}") for n in range(1, self._files)
                ]
                for source, target in reversed(
                    list(zip([self._path, *older], older, strict=False))
                ):
                    with suppress(FileNotFoundError):
                        source.replace(target)
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
