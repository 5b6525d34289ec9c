"""Reads `postmaster.pid`, in which a PostgreSQL server writes its pid and state.

It also clears what a dead owner left: a server that still shuts down, or a file whose pid now belongs to another
program. It does not start servers.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from taskmill.embedded.errors import ServerFailedError

_STATUS_LINE = 7
_POLL_S = 0.005


def is_ready(cluster: Path, pid: int) -> bool:
    """Whether the server `pid` accepts connections (a file left by another one does not count)."""
    lines = _lines(cluster)
    return (
        len(lines) > _STATUS_LINE
        and lines[0] == str(pid)
        and lines[_STATUS_LINE].strip() == "ready"
    )


def clear_leftover(cluster: Path, *, timeout_s: float) -> None:
    """Stop a server that lost its owner, and make the file of a dead one harmless.

    Only the holder of the data folder's lock may call it.

    Raises:
        ServerFailedError: the leftover is still there after `timeout_s` seconds.
    """
    lines = _lines(cluster)
    if not lines or not lines[0].isdecimal() or not _is_alive(int(lines[0])):
        return
    pid = int(lines[0])
    if _serves(pid, cluster):
        _stop_leftover(pid, cluster, timeout_s)
        return
    # The pid belongs to another program by now (usual after a restart of a container), which PostgreSQL would take
    # for a running server. It ignores its own parent's pid, and still tests the shared memory named further down;
    # so write our pid instead of removing the file.
    (cluster / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:], ""]))


def _stop_leftover(pid: int, cluster: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    os.kill(pid, signal.SIGINT)
    while _serves(pid, cluster):
        if time.monotonic() > deadline:
            raise ServerFailedError(
                f"A PostgreSQL server (process {pid}) of an earlier run still uses {cluster}",
                "",
                "Stop that process, then start again.",
            )
        time.sleep(_POLL_S)


def _lines(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(pid: int, cluster: Path) -> bool:
    """Whether `pid` is a server of this cluster: servers work inside their data folder."""
    if Path("/proc/self/cwd").exists():
        try:
            return Path(f"/proc/{pid}/cwd").samefile(cluster)
        except OSError:
            return False
    command = ["ps", "-o", "comm=", "-p", str(pid)]
    # S603: fixed words and a number.
    done = subprocess.run(command, capture_output=True, check=False, text=True)  # noqa: S603
    return "postgres" in done.stdout
