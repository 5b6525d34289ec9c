"""Forks processes of this one at its very start, which become role processes later (Linux only).

They share the memory of what is imported already, and need not import it: two thirds of a process's memory, and
nine tenths of its start. `role_processes` uses them for the first start; whatever is started again is a program of
its own.
"""

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskmill.embedded.programs import end_with_parent

# The fields of /proc/PID/stat with the addresses between which the command line is, counted after the name.
_ARGUMENTS_BEGIN, _ARGUMENTS_END = 45, 46


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a forked process is to do: roles, and the file to write when it is ready.

    Without roles it migrates the database, and with `encrypts` it then encrypts stored secrets.
    """

    roles: Sequence[str] = ()
    ready_file: Path = Path(os.devnull)
    encrypts: bool = False


class ForkedProcess:
    """A forked process as its parent sees it: it does nothing until `start`, and ends with its parent."""

    def __init__(self, pid: int, orders: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = os.pidfd_open(pid)
        self._orders = orders

    def start(self, assignment: Assignment, environment: Mapping[str, str]) -> None:
        """Have it begin, with these environment variables in addition to ours."""
        order = {
            "roles": list(assignment.roles),
            "ready_file": str(assignment.ready_file),
            "encrypts": assignment.encrypts,
            "environment": dict(environment),
        }
        with suppress(BrokenPipeError), os.fdopen(self._orders, "w") as orders:  # it may be dead
            json.dump(order, orders)

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def discard(self) -> None:
        """End it, if it is not needed."""
        self.send_signal(signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.forget()

    def forget(self) -> None:
        """Close what belongs to the parent, in a process that was forked after this one."""
        os.close(self._pidfd)
        os.close(self._orders)

    async def wait(self) -> int:
        """Wait for its end and return the exit status, negative for a signal; to be called once."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._pidfd)
        _, status = os.waitpid(self.pid, 0)  # noqa: ASYNC222 - it has ended
        self.returncode = os.waitstatus_to_exitcode(status)
        os.close(self._pidfd)
        return self.returncode


def fork_processes(count: int) -> Sequence[ForkedProcess] | Assignment:
    """Fork `count` processes and return them, or none where that is impossible; in them, return the assignment.

    To be called before there are threads, event loops and locks: a fork copies their state, but not what runs.
    """
    if not _can_fork():
        return []
    # What exists now is never examined again, which would copy its memory.
    gc.freeze()
    prepare_child = end_with_parent(signal.SIGTERM)
    forked: list[ForkedProcess] = []
    for _ in range(count):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writing)
            for earlier in forked:
                earlier.forget()
            if prepare_child is not None:
                prepare_child()
            return _await_assignment(reading)
        os.close(reading)
        forked.append(ForkedProcess(pid, writing))
    return forked


def _can_fork() -> bool:
    """Whether this is Linux, and a kernel that reports the end of a process by a descriptor (5.3 and later)."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _await_assignment(reading: int) -> Assignment:
    """Wait for the order; the process ends if there is none, because its parent is not started after all."""
    os.setsid()
    with os.fdopen(reading) as orders:
        read = orders.read()
    if not read:
        sys.exit()
    order = json.loads(read)
    roles = order["roles"]
    os.environ.update(order["environment"])
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    _show_as(f"taskmill run {' '.join(roles)}" if roles else "taskmill migrate")
    return Assignment(roles=roles, ready_file=Path(order["ready_file"]), encrypts=order["encrypts"])


def _show_as(command: str) -> None:
    """Have `ps` show this command instead of the parent's, as far as it has room."""
    with suppress(OSError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        begin, end = int(fields[_ARGUMENTS_BEGIN]), int(fields[_ARGUMENTS_END])
        ctypes.memmove(
            begin, command.encode()[: end - begin].ljust(end - begin, b"\0"), end - begin
        )
