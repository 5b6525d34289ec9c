"""What a person at a terminal can do about an error of the client."""

from typing import Final

from taskmill.client.errors import Unreachable
from taskmill.domain.errors import TaskmillError

_UNREACHABLE: Final = (
    "Is it running (./taskmill up), and is this its address (--url or TASKMILL_URL)?"
)


def with_advice(error: TaskmillError) -> str:
    """Return an error in words, with what can be done about it on a line of its own."""
    return f"{error}\n{_UNREACHABLE}" if isinstance(error, Unreachable) else str(error)
