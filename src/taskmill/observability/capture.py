"""Passes what is logged through Python's `logging` to a listener of its context, besides the process's log.

The process's log stays the same, though the root logger may let more through. What is done with a record is the
listener's decision.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Final, TypeAlias

Listener: TypeAlias = Callable[[logging.LogRecord], None]
"""Takes a record. It is called from any thread, and must neither block nor raise."""

_listener: Final[ContextVar[Listener | None]] = ContextVar("taskmill_listener", default=None)
_OFF = logging.CRITICAL + 1


class _ListenerHandler(logging.Handler):
    """Passes each record to the listener of the context in which it was logged."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass it on without the handler's lock: a listener needs none."""
        listener = _listener.get()
        # The event loop logs forgotten tasks and futures in whatever context they happen to be collected.
        if listener is not None and record.name != "asyncio":
            listener(record)
        return True


_handler: Final = _ListenerHandler(_OFF)


def capture_from(level: int) -> None:
    """From now on pass records from `level` up to listeners, for as long as this process lives."""
    _handler.setLevel(min(_handler.level, level))
    attach()


def attach() -> None:
    """Add the handler to the root logger, if there are listeners; setting up logging removes all handlers."""
    root = logging.getLogger()
    if _handler.level < _OFF:
        root.setLevel(min(root.level, _handler.level))
        if _handler not in root.handlers:
            root.addHandler(_handler)


def is_for_listeners_only(record: logging.LogRecord) -> bool:
    """Return whether a record passed only because there are listeners: no logger's own level let it through."""
    if record.levelno >= logging.WARNING:
        return False
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger.parent is not None:
        if logger.level != logging.NOTSET:
            return False
        logger = logger.parent
    return True


def begin(listener: Listener) -> Token[Listener | None]:
    """Listen to the records of this context, and of tasks and `to_thread` calls that it starts, until `end`."""
    return _listener.set(listener)


def end(token: Token[Listener | None]) -> None:
    """Stop listening in this context; contexts that were copied from it go on."""
    # What began here may be destroyed in another context, by the garbage collector; that one was not listening.
    with suppress(ValueError):
        _listener.reset(token)
