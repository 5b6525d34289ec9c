"""What this process uses of its machine: open files, and the room on disks. It changes nothing."""

import shutil
from pathlib import Path
from typing import Final, NamedTuple

from taskmill.runtime.file_limit import file_limit, highest_file_limit

# Of Linux, and of macOS.
_OPEN_FILES: Final = (Path("/proc/self/fd"), Path("/dev/fd"))


class DiskRoom(NamedTuple):
    """The room on a file system, in bytes."""

    free: int
    total: int


class OpenFiles(NamedTuple):
    """How many files and sockets this process has open, may have, and may have once it raises its limit."""

    used: int
    limit: int
    highest: int


def open_files() -> OpenFiles | None:
    """Return how many files are open; None where the system does not show it."""
    for folder in _OPEN_FILES:
        try:
            # One is the folder itself.
            used = sum(1 for _ in folder.iterdir()) - 1
        except OSError:
            continue
        return OpenFiles(used=used, limit=file_limit(), highest=highest_file_limit())
    return None


def disk_room(path: Path) -> DiskRoom | None:
    """Return the room on the file system of a path; None if there is no such path, or it may not be seen."""
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return None
    return DiskRoom(free=usage.free, total=usage.total)
