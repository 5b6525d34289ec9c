"""Where pages are: their order, addresses, icons, and the letter that follows `g`."""

from typing import Final, NamedTuple


class Place(NamedTuple):
    """An entry; its words are `nav.NAME`."""

    name: str
    path: str
    letter: str


OVERVIEW: Final = Place("overview", "/", "o")
TASKS: Final = Place("tasks", "/ui/tasks", "t")
CREATE: Final = Place("create", "/ui/create", "n")
REJECTIONS: Final = Place("rejections", "/ui/rejections", "r")

NAVIGATION: Final = (OVERVIEW, TASKS, CREATE, REJECTIONS)
