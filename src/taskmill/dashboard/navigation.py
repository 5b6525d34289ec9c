"""The navigation: pages in order, with path, icon, and the key that follows `g`."""

from typing import Final, NamedTuple

from taskmill.domain.grants import Scope


class NavigationEntry(NamedTuple):
    """An entry; its text is `nav.NAME`, and its icon has its name.

    The page of one that `is_of_some` shows the queues of any key. A page at one of `others` belongs to it, too.
    """

    name: str
    path: str
    letter: str
    scope: Scope = Scope.TASKS_READ
    is_of_some: bool = False
    others: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Return whether a path is a page of it, or below one."""
        return any(path == one or path.startswith(f"{one}/") for one in (self.path, *self.others))


OVERVIEW: Final = NavigationEntry("overview", "/", "o")
TASKS: Final = NavigationEntry("tasks", "/ui/tasks", "t", is_of_some=True, others=("/ui/jobs",))
QUEUES: Final = NavigationEntry("queues", "/ui/queues", "q", is_of_some=True)
WORKERS: Final = NavigationEntry("workers", "/ui/workers", "w", is_of_some=True)
FAILURES: Final = NavigationEntry("failures", "/ui/failures", "f", is_of_some=True)
SCHEDULES: Final = NavigationEntry("schedules", "/ui/schedules", "c", is_of_some=True)
TYPES: Final = NavigationEntry("types", "/ui/types", "y", is_of_some=True)
EVENTS: Final = NavigationEntry("events", "/ui/events", "e", is_of_some=True)
REJECTIONS: Final = NavigationEntry("rejections", "/ui/rejections", "r", is_of_some=True)
AUDIT: Final = NavigationEntry("audit", "/ui/audit", "a", Scope.ADMIN)
WEBHOOKS: Final = NavigationEntry("webhooks", "/ui/webhooks", "h", Scope.WEBHOOKS, is_of_some=True)
KEYS: Final = NavigationEntry("keys", "/ui/keys", "k", Scope.ADMIN)
SYSTEM: Final = NavigationEntry("system", "/ui/system", "s", Scope.ADMIN)
CREATE: Final = NavigationEntry("create", "/ui/create", "n", Scope.TASKS_CREATE, is_of_some=True)

NAVIGATION: Final = (
    *(OVERVIEW, TASKS, QUEUES, WORKERS, FAILURES, TYPES, EVENTS),
    *(SCHEDULES, REJECTIONS, WEBHOOKS, AUDIT, KEYS, SYSTEM, CREATE),
)

LISTS: Final = frozenset(
    one.path
    for one in (
        *(TASKS, QUEUES, WORKERS, FAILURES, TYPES, EVENTS),
        *(SCHEDULES, REJECTIONS, WEBHOOKS, AUDIT),
    )
)
"""The pages whose addresses have a filter, and can be saved."""


def entry_of(path: str) -> NavigationEntry | None:
    """Return the entry whose page a path is, or is below; None when it is below none."""
    return next((one for one in NAVIGATION if one.has(path)), None)
