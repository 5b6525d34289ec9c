"""Gives calls under way a specific error when their connection is closed.

The driver ends them with a bare `Exception` when it knows no reason, as when we close the connection ourselves.
Catching that would also catch our own faults, and uncaught it ends the whole process.
"""

from collections.abc import Awaitable

from aiormq.abc import ExceptionType
from aiormq.base import FutureStore

_reject_all = FutureStore.reject_all


class ConnectionGone(ConnectionError):
    """The connection or its channel was closed before the response arrived."""

    def __str__(self) -> str:
        return "the connection was closed"


def report_close_reasons() -> None:
    """Make the driver, in this whole process, end calls under way with `ConnectionGone` if it knows no reason."""
    FutureStore.reject_all = _reject_all_named  # type: ignore[method-assign]


def _reject_all_named(store: FutureStore, exception: ExceptionType | None) -> Awaitable[None]:
    return _reject_all(store, ConnectionGone if exception is None else exception)
