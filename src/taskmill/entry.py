"""The program's entry: runs the command line, or says in one line which extra of the package a command needs.

It needs Python's own library only, as there may be nothing but the client's packages beside it. What a command
needs is not checked here: it is known by the import that fails. The version of `taskmill-service` is, as pip may
replace `taskmill` alone.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from taskmill.domain.extras import SERVICE, NotInstalled, missing_package
from taskmill.version import VERSION

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
    """Run the command line of this process and exit; with status 2 where a package is missing, or does not fit.

    The version needs no package.
    """
    arguments = sys.argv[1:]
    other = _other_version()
    if other is not None:
        _refuse(
            f"taskmill {VERSION} does not fit {SERVICE} {other}: "
            f"pip install 'taskmill[{_extra_of(_command(arguments))}]=={VERSION}'"
        )
    if arguments[:1] == ["--version"]:
        sys.stdout.write(f"taskmill {VERSION}\n")
        return
    try:
        from taskmill.cli.main import main as run  # noqa: PLC0415 - it imports packages of an extra

        run()
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        _refuse(str(_not_installed(_command(arguments), missing)))


def _refuse(why: str) -> None:
    sys.stderr.write(f"Error: {why}\n")
    sys.exit(_STATUS)


def _other_version() -> str | None:
    """Return the version of `taskmill-service` beside this package, if it is another one. A clone has none."""
    name = SERVICE.replace("-", "_")
    versions = {
        path.name.removeprefix(f"{name}-").removesuffix(".dist-info")
        for path in Path(__file__).parents[1].glob(f"{name}-*.dist-info")
    }
    return next(iter(versions - {VERSION}), None)


def _command(arguments: Sequence[str]) -> tuple[str, ...]:
    words = tuple(word for word in arguments if not word.startswith("-"))
    return words[:2] if words[:2] in _EXTRAS else words[:1]


def _extra_of(command: tuple[str, ...]) -> str:
    return _EXTRAS.get(command, _OF_CLIENTS)


def _not_installed(command: tuple[str, ...], missing: str) -> NotInstalled:
    what = " ".join(("taskmill", *command))
    return NotInstalled(what, extra=_extra_of(command), missing=missing)
