"""Raises the limit on open files and sockets for a server; its children get the earlier limit."""

import resource
from collections.abc import Callable
from typing import Final

MOST_FILES: Final = 65_536

_before: list[tuple[int, int]] = []


def raise_file_limit() -> None:
    """Raise this process's limit as far as it may go, to `MOST_FILES` at most; it is never lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = highest_file_limit()
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some systems allow less than they report
        return
    _before.append((soft, hard))


def file_limit() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def highest_file_limit() -> int:
    """Return to how many files this process may raise its limit, `MOST_FILES` at most."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)


def file_limit_restorer() -> Callable[[], None] | None:
    """Return a function for the child, between fork and exec, that sets the limit from before it was raised.

    Programs may size themselves by the limit, and `select` fails above 1,024. It is one system call: after a fork
    nothing else is safe. None when the limit was not raised.
    """
    if not _before:
        return None
    limit = _before[0]
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit)
