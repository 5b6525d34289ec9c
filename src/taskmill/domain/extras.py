"""The error where packages are missing that an extra of the package brings."""

import sys

from taskmill.domain.errors import TaskmillError


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
    """Return the package that an import lacked; None if it is ours or Python's own, which no extra brings."""
    name = (error.name or "").partition(".")[0]
    return None if name in {"", "taskmill"} or name in sys.stdlib_module_names else name
