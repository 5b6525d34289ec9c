"""Where pages are: their order, addresses, icons, and the letter that follows `g`."""

from typing import Final, NamedTuple


class Place(NamedTuple):
    """An entry; its words are `nav.NAME`."""

    name: str
    path: str
    letter: str


OVERVIEW: Final = Place("overview", "/", "o")
TASKS: Final = Place("tasks", "/ui/tasks", "t")
QUEUES: Final = Place("queues", "/ui/queues", "q")
WORKERS: Final = Place("workers", "/ui/workers", "w")
FAILURES: Final = Place("failures", "/ui/failures", "f")
REJECTIONS: Final = Place("rejections", "/ui/rejections", "r")
CREATE: Final = Place("create", "/ui/create", "n")

NAVIGATION: Final = (OVERVIEW, TASKS, QUEUES, WORKERS, FAILURES, REJECTIONS, CREATE)
