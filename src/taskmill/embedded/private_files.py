"""Files that only their owner may read: secrets, and logs that might hold some."""

import os
from pathlib import Path
from typing import BinaryIO

_LARGEST_LOG = 8 * 1024 * 1024


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file atomically, readable only by its owner from the first moment."""
    side = path.with_name(f"{path.name}.new")
    side.unlink(missing_ok=True)
    descriptor = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    side.rename(path)


def open_log(path: Path) -> BinaryIO:
    """Open a log to append; a large one is renamed first."""
    if path.exists() and path.stat().st_size > _LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.fdopen(os.open(path, flags, 0o600), "ab")
