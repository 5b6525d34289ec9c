"""Runs PostgreSQL's programs: as the right user, in a clean environment.

Where the kernel can do it (Linux), none of them outlives the thread that started it.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from taskmill.embedded.binaries import Binaries
from taskmill.embedded.errors import ServerFailedError
from taskmill.embedded.identity import Identity
from taskmill.runtime.file_limit import file_limit_restorer

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The programs of one installation, run as one identity inside one folder."""

    binaries: Binaries
    identity: Identity
    folder: Path

    def run(self, name: str, *arguments: str, script: str = "") -> None:
        """Run a program to its end, with `script` as its input.

        Raises:
            ServerFailedError: it ended with an error or reported one.
        """
        done = subprocess.run(  # noqa: S603 - our own programs and words
            self._command(name, arguments),
            input=script.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            env=_environment(),
            cwd=self.folder,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGINT),
        )
        output = done.stdout.decode(errors="replace")
        # Single-user mode reports a failed statement in its output only.
        if done.returncode != 0 or "ERROR:" in output or "FATAL:" in output:
            raise ServerFailedError(
                f"{name} failed in {self.folder}",
                output,
                "Check that the disk has room and that the folder belongs to you.",
            )

    def spawn(self, name: str, *arguments: str, log: BinaryIO) -> subprocess.Popen[bytes]:
        """Start a program that stays, in a session of its own so that Ctrl-C does not reach it."""
        return subprocess.Popen(  # noqa: S603 - our own programs and words
            self._command(name, arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=_environment(),
            cwd=self.folder,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGINT),  # noqa: PLW1509 - plain system calls only
        )

    def _command(self, name: str, arguments: tuple[str, ...]) -> list[str]:
        return [*self.identity.prefix, str(self.binaries.folder / name), *arguments]


def _environment() -> dict[str, str]:
    """Our environment without the variables that affect PostgreSQL (PGPORT, PGDATA, a missing locale, …)."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))
    }
    return {**inherited, "LC_ALL": "C", "TZ": "UTC"}


def end(process: subprocess.Popen[bytes], steps: Sequence[tuple[signal.Signals, float]]) -> None:
    """Ask a process to end by one signal after the other, each with the seconds to wait for its effect."""
    for step, timeout_s in steps:
        process.send_signal(step)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            continue
        return


def end_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs before its program: it requests a signal for when our thread ends.

    It also restores the limit on open files, if we have raised it. None where there is nothing to do.

    The library is loaded here, in the parent: after a fork only plain system calls are safe.
    """
    reset_limit = file_limit_restorer()
    if sys.platform != "linux":
        return reset_limit
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare_child() -> None:
        if reset_limit is not None:
            reset_limit()
        prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != parent:  # it died before the request
            os._exit(1)

    return prepare_child
