"""The visibility of the request being served: every operation that reads more than one task asks for it here.

It is part of the context, as the caller is: so no endpoint can forget to pass it on. Where a key is for all
queues, or none is required, there is none, and nothing is looked up.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Final

from taskmill.domain.errors import TaskNotFound
from taskmill.domain.system import TaskFilter
from taskmill.domain.task import Task
from taskmill.domain.visibility import Visibility
from taskmill.storage import queues
from taskmill.storage.database import Database

_current: Final[ContextVar[Visibility | None]] = ContextVar("visibility", default=None)


def current_visibility() -> Visibility | None:
    """Return what limits this context; None when it may see all queues."""
    return _current.get()


@contextmanager
def limited_to(visibility: Visibility | None) -> Iterator[None]:
    """Limit what is read within; None: not at all."""
    token = _current.set(visibility)
    try:
        yield
    finally:
        _current.reset(token)


def require_visible(task: Task) -> None:
    """Check that this context may see a task where it is now: it may have been moved. Raises `TaskNotFound`."""
    visibility = current_visibility()
    if visibility is not None and not visibility.shows(task.queue):
        raise TaskNotFound(task.id)


async def visible_queues(database: Database) -> frozenset[str] | None:
    """Return the names of the queues that this context may see, as they are now; None for all.

    Those that its key names are there even if they are not.

    Raises:
        Unavailable: the database is away.
    """
    visibility = current_visibility()
    if visibility is None:
        return None
    return visibility.named | visibility.of(await queues.names_with_tasks(database))


async def narrowed(database: Database, wanted: TaskFilter) -> TaskFilter:
    """Return a filter that admits only what this context may see. Raises `Unavailable`."""
    visibility = current_visibility()
    if visibility is None:
        return wanted
    if (queue := wanted.queue) is not None:
        return replace(
            wanted, queue=None, visible=frozenset({queue} if visibility.shows(queue) else ())
        )
    return replace(wanted, visible=await visible_queues(database))
