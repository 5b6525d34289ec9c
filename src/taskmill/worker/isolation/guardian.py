"""Kills what an isolated process has started if the process is killed together with its worker.

The worker kills the whole group of a process, unless it is killed itself: then the kernel kills the process, but
not its children. So a guardian process waits in the same group until the process is gone.
"""

import os
import select
import signal
import sys
from contextlib import suppress


def start_guardian() -> None:
    """Have this process's group killed when it ends, if it leads one and the kernel reports ends (Linux 5.3)."""
    if sys.platform != "linux" or os.getpgrp() != os.getpid():
        return
    try:
        end = os.pidfd_open(os.getpid())
    except OSError:
        return
    between = os.fork()
    if between == 0:
        # A grandchild, so that a handler that waits for all its children does not wait for it.
        if os.fork() == 0:
            _watch(end)
        os._exit(0)
    os.waitpid(between, 0)
    os.close(end)


def _watch(end: int) -> None:
    with suppress(OSError):
        for fd in (0, 1):  # the pipe to the worker, which would otherwise stay open
            os.close(fd)
    poll = select.poll()
    poll.register(end, select.POLLIN)
    poll.poll()
    os.killpg(os.getpgrp(), signal.SIGKILL)
