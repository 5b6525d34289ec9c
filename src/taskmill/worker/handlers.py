"""The handlers of a worker, by task type."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TypeAlias

from taskmill.app import Context

EVERY_TYPE = "*"

Handler: TypeAlias = Callable[[Context], Awaitable[object]]
"""Runs one attempt: it returns the result, or raises the error."""


class Handlers:
    """Handlers by task type; the one for `*` runs every type without a handler of its own.

    Tasks of the types in `exclusive` (`*` for all) must stop before another worker could start them.
    """

    def __init__(self, handlers: Mapping[str, Handler], *, exclusive: Iterable[str] = ()) -> None:
        self._handlers = dict(handlers)
        self._exclusive = frozenset(exclusive)

    def get(self, task_type: str) -> Handler | None:
        """Return the handler of a type, None if this worker has none."""
        return self._handlers.get(task_type) or self._handlers.get(EVERY_TYPE)

    @property
    def has_exclusive(self) -> bool:
        """Whether any type is exclusive."""
        return bool(self._exclusive)

    def is_exclusive(self, task_type: str) -> bool:
        """Whether tasks of this type are stopped as soon as their lease could have expired."""
        return task_type in self._exclusive or EVERY_TYPE in self._exclusive

    @property
    def types(self) -> Collection[str]:
        """The types that have handlers; `*` means all."""
        return self._handlers.keys()
