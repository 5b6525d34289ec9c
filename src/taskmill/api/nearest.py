"""Suggests the address that was perhaps meant when a request has an unknown one."""

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
        """Return the method and the template that are most like the requested ones; None when nothing is similar.

        It prefers the same method; with `any_method` it may name another one.
        """
        requested = _segments(path.lower())
        if len(path) > _LONGEST_PATH or not 0 < len(requested) <= _MOST_SEGMENTS:
            return None
        method = "GET" if method == "HEAD" else method
        same_method = [address for address in self._addresses if address.method == method]
        for addresses in (same_method, self._addresses if any_method else ()):
            likeness, best = max(
                ((_likeness(requested, address.segments), address) for address in addresses),
                key=lambda found: found[0],
                default=(0, None),
            )
            if best is not None and likeness >= _LEAST_LIKENESS:
                return f"{best.method} {best.template}"
        return None


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _likeness(requested: list[str], segments: list[str]) -> float:
    """Return how alike two paths are, from 0 to 1: that of their least similar words."""
    if len(requested) == len(segments):
        return min(_word_likenesses(requested, segments))
    return SequenceMatcher(None, "/".join(requested), "/".join(segments)).ratio()


def _word_likenesses(requested: list[str], segments: list[str]) -> Iterator[float]:
    for came, word in zip(requested, segments, strict=True):
        # A parameter matches anything, but not as well as the same word.
        yield 0.99 if word.startswith("{") else SequenceMatcher(None, came, word).ratio()
