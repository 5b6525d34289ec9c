"""The program's entry: runs the command line, or says in one line which extra of the package a command needs.

It needs Python's own library only, as there may be nothing but the client's packages beside it. What a command
needs is not checked here: it is known by the import that fails.
"""

import sys
from collections.abc import Sequence
from typing import Final

from taskmill.domain.extras import NotInstalled, missing_package

_STATUS: Final = 2
_OF_CLIENTS: Final = "cli"
_OF_PROCESSES: Final = "server"
# The extras of commands that are more than a client, by their first words.
_EXTRAS: Final = {
    ("broker",): _OF_PROCESSES,
    ("doctor",): _OF_PROCESSES,
    ("key",): _OF_PROCESSES,
    ("migrate",): _OF_PROCESSES,
    ("queue", "publish"): _OF_PROCESSES,
    ("run",): _OF_PROCESSES,
    ("run", "worker"): "worker",
    ("secrets",): _OF_PROCESSES,
    ("top",): "top",
    ("type", "register"): "worker",
    ("up",): "up",
    ("verify",): _OF_PROCESSES,
    ("webhook", "callback-key"): _OF_PROCESSES,
}


def main() -> None:
    """Run the command line of this process and exit; with status 2 where a package is missing."""
    try:
        from taskmill.cli.main import main as run  # noqa: PLC0415 - it imports packages of an extra

        run()
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        sys.stderr.write(f"Error: {_not_installed(sys.argv[1:], missing)}\n")
        sys.exit(_STATUS)


def _not_installed(arguments: Sequence[str], missing: str) -> NotInstalled:
    words = tuple(word for word in arguments if not word.startswith("-"))
    command = words[:2] if words[:2] in _EXTRAS else words[:1]
    extra = _EXTRAS.get(command, _OF_CLIENTS)
    return NotInstalled(" ".join(("taskmill", *command)), extra=extra, missing=missing)
