"""Lets code hear what is logged through Python's `logging` within its own context, beside the process's log.

What the process's log gets of it stays as it is, though the root logger may let more through. It decides
nothing about what is done with a record.
"""

import logging
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Final, TypeAlias

__all__ = ["Listener", "attach", "begin", "end", "is_overheard", "listen_from"]

Listener: TypeAlias = Callable[[logging.LogRecord], None]
"""Takes a record; called from any thread, it must not wait and not raise."""

_listener: Final[ContextVar[Listener | None]] = ContextVar("taskmill_listener", default=None)
_NOBODY = logging.CRITICAL + 1


class _Ear(logging.Handler):
    """Hands records to the listener of the context that they are made in."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Do so without the lock that handlers have: a listener needs none."""
        listener = _listener.get()
        # The event loop tells of forgotten tasks and futures in whatever context they happen to be collected.
        if listener is not None and record.name != "asyncio":
            listener(record)
        return True


_ear: Final = _Ear(_NOBODY)


def listen_from(level: int) -> None:
    """From now on let listeners hear what is logged from `level` on, for as long as this process lives."""
    _ear.setLevel(min(_ear.level, level))
    attach()


def attach() -> None:
    """Put the ear to the root logger, if anybody listens: whoever sets up logging has taken all handlers off."""
    root = logging.getLogger()
    if _ear.level < _NOBODY:
        root.setLevel(min(root.level, _ear.level))
        if _ear not in root.handlers:
            root.addHandler(_ear)


def is_overheard(record: logging.LogRecord) -> bool:
    """Tell whether a record came through only because somebody listens: no logger of its own let it pass."""
    if record.levelno >= logging.WARNING:
        return False
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None and logger.parent is not None:
        if logger.level != logging.NOTSET:
            return False
        logger = logger.parent
    return True


def begin(listener: Listener) -> Token[Listener | None]:
    """Hear the records of this context, of tasks that it starts and `to_thread`s, until `end`."""
    return _listener.set(listener)


def end(token: Token[Listener | None]) -> None:
    """Hear no more in this context; contexts that were copied from it go on."""
    _listener.reset(token)
