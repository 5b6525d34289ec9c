"""How many files and sockets a process may have open: raised for a server, and as before for its children."""

import resource
from collections.abc import Callable
from typing import Final

MOST_FILES: Final = 65_536

_before: list[tuple[int, int]] = []


def raise_file_limit() -> None:
    """Raise this process's limit as far as it may go, to `MOST_FILES` at most; it is never lowered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some systems allow less than they say
        return
    _before.append((soft, hard))


def file_limit() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def limit_of_before() -> Callable[[], None] | None:
    """Return what a child does before it becomes its program, so that it has the limit from before the raise.

    Programs may size themselves by it, and `select` fails above 1,024. It is one plain system call: after a fork
    nothing else is safe. None when the limit was not raised.
    """
    if not _before:
        return None
    limit = _before[0]
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit)
