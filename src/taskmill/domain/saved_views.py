"""A saved view: a name for an address of the dashboard."""

from dataclasses import dataclass
from typing import Final

MOST: Final = 100
"""So many views an owner has at most."""
LONGEST_NAME: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A path of the dashboard with its query, and the name that its owner gave it."""

    name: str
    address: str


def is_view_name(text: str) -> bool:
    """Return whether a view may have this name."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable() and text == text.strip()
