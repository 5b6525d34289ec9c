"""What runs a task: handlers by type."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TypeAlias

from taskmill.app import Context

EVERY_TYPE = "*"

Handler: TypeAlias = Callable[[Context], Awaitable[object]]
"""Runs one attempt: what it returns is the result, what it raises the error."""


class Handlers:
    """Handlers by task type; the one for `*` takes every type that has none of its own.

    Types in `exclusive` (`*` for all) must not go on where another worker might have begun them.
    """

    def __init__(self, handlers: Mapping[str, Handler], *, exclusive: Iterable[str] = ()) -> None:
        self._handlers = dict(handlers)
        self._exclusive = frozenset(exclusive)

    def get(self, task_type: str) -> Handler | None:
        """Return the handler of a type, None when this worker has none."""
        return self._handlers.get(task_type) or self._handlers.get(EVERY_TYPE)

    @property
    def has_exclusive(self) -> bool:
        """Tell whether any type is exclusive."""
        return bool(self._exclusive)

    def is_exclusive(self, task_type: str) -> bool:
        """Tell whether tasks of that type are stopped as soon as their lease could have ended."""
        return task_type in self._exclusive or EVERY_TYPE in self._exclusive

    @property
    def types(self) -> Collection[str]:
        """The types that there are handlers for; `*` among them means all."""
        return self._handlers.keys()
