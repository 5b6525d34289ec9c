"""Which paths lead to a page of the dashboard. Whatever a form or a query names could lead anywhere else."""

from typing import Final

ROOT: Final = "/"
BELOW: Final = "/ui/"

_LONGEST: Final = 2000


def own_path(text: str) -> str:
    """Return a path of ours with its query, without the prefix; the Overview's for whatever is not one."""
    is_ours = text == ROOT or text.startswith(("/?", BELOW))
    is_plain = text.isascii() and text.isprintable() and "\\" not in text
    return text if is_ours and is_plain and len(text) <= _LONGEST else ROOT
