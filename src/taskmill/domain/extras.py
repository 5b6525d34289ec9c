"""The error where packages are missing that an extra of the package brings."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from taskmill.domain.errors import TaskmillError

SERVICE: Final = "taskmill-service"
"""The package that has all modules of `taskmill` but those of the client."""


class NotInstalled(TaskmillError):
    """The packages of an `extra` are not installed; `missing` is one of them, if that is known."""

    def __init__(self, what: str, *, extra: str, missing: str = "") -> None:
        known = f" ({missing})" if missing else ""
        super().__init__(
            f"{what} needs packages that are not installed{known}: pip install 'taskmill[{extra}]'"
        )
        self.extra = extra
        self.missing = missing


def missing_package(error: ModuleNotFoundError) -> str | None:
    """Return the package that an import lacked; None if none of an extra's would bring that module.

    A whole folder of ours that is missing is in `taskmill-service`. A single module that is missing is a fault.
    """
    name, _, inner = (error.name or "").partition(".")
    if name == "taskmill":
        return None if not inner or "." in inner else SERVICE
    return None if not name or name in sys.stdlib_module_names else name


@contextmanager
def needing(what: str, *, extra: str) -> Iterator[None]:
    """Name the extra where an import within lacks a package of it. Raises `NotInstalled`."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is None:
            raise
        raise NotInstalled(what, extra=extra, missing=missing) from error
