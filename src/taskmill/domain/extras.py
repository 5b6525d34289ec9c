"""The error where packages are missing that an extra of the package brings."""

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
