"""Names the address that was perhaps meant when one was asked for that leads nowhere."""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Final, NamedTuple

_LEAST_LIKENESS: Final = 0.7
_LONGEST_PATH: Final = 200
_MOST_SEGMENTS: Final = 8


class _Address(NamedTuple):
    method: str
    template: str
    segments: list[str]


class Addresses:
    """All methods and templates of paths (`/tasks/{id}`) of an app."""

    def __init__(self, addresses: Iterable[tuple[str, str]]) -> None:
        self._addresses = [
            _Address(method, template, _segments(template)) for method, template in addresses
        ]

    def nearest(self, method: str, path: str, *, any_method: bool = True) -> str | None:
        """Return the method and the template that come nearest to what was asked; None when nothing is near.

        It takes the method that was asked; if nothing near does, another one with `any_method`.
        """
        asked = _segments(path.lower())
        if len(path) > _LONGEST_PATH or not 0 < len(asked) <= _MOST_SEGMENTS:
            return None
        method = "GET" if method == "HEAD" else method
        mine = [address for address in self._addresses if address.method == method]
        for addresses in (mine, self._addresses if any_method else ()):
            likeness, best = max(
                ((_likeness(asked, address.segments), address) for address in addresses),
                key=lambda found: found[0],
                default=(0, None),
            )
            if best is not None and likeness >= _LEAST_LIKENESS:
                return f"{best.method} {best.template}"
        return None


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _likeness(asked: list[str], segments: list[str]) -> float:
    """Return how like two paths are, from 0 to 1: as the least like of their words."""
    if len(asked) == len(segments):
        return min(_word_likenesses(asked, segments))
    return SequenceMatcher(None, "/".join(asked), "/".join(segments)).ratio()


def _word_likenesses(asked: list[str], segments: list[str]) -> Iterator[float]:
    for came, word in zip(asked, segments, strict=True):
        # A parameter may be anything, but is less like than the very word.
        yield 0.99 if word.startswith("{") else SequenceMatcher(None, came, word).ratio()
