"""Parts of lists: how large they are, and whether there is more."""

from collections.abc import Iterable
from typing import Final, TypeVar

Item = TypeVar("Item")

PAGE_BYTES: Final = 8 * 1024**2
"""A part ends with the entry that reaches so many bytes, however many entries were requested."""


class Part(list[Item]):
    """Some entries of a list, in order; `has_more` is whether others follow."""

    __slots__ = ("has_more",)

    def __init__(self, items: Iterable[Item], *, has_more: bool) -> None:
        super().__init__(items)
        self.has_more = has_more
