"""A separate file system that a test can fill."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_MOUNT_BYTES = 400 * 2**20


@contextmanager
def a_small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small file system if this user may; else yield None."""
    with ExitStack() as stack:
        found = None
        if os.geteuid() == 0 and shutil.which("mount"):
            folder.mkdir(parents=True)
            command = [
                "mount",
                "-t",
                "tmpfs",
                "-o",
                f"size={_MOUNT_BYTES}",
                "taskmill",
                str(folder),
            ]
            # S603: fixed words and a folder of our own.
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:  # noqa: S603
                found = folder
                stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False)
        yield found
