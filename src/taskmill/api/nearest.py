"""Suggests the address that was perhaps meant when a request has an unknown one."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from functools import lru_cache
from math import ceil
from typing import Final, NamedTuple

_LEAST_LIKENESS: Final = 0.7
# Of two words that are so alike, the shorter has at least this share of the longer one.
_LEAST_LENGTH: Final = _LEAST_LIKENESS / (2 - _LEAST_LIKENESS)
_LONGEST_PATH: Final = 200
_MOST_SEGMENTS: Final = 8


class _Path(NamedTuple):
    template: str
    segments: list[str]
    joined: str
    letters: int
    methods: list[str]


class Addresses:
    """All methods and templates of paths (`/tasks/{id}`) of an app."""

    def __init__(self, addresses: Iterable[tuple[str, str]]) -> None:
        methods: defaultdict[str, list[str]] = defaultdict(list)
        for method, template in addresses:
            methods[template].append(method)
        # By the number of segments and the first one, and by the length of all.
        self._by_segments: dict[int, dict[str, list[_Path]]] = {}
        self._by_length: defaultdict[int, list[_Path]] = defaultdict(list)
        for template in methods:
            segments = _segments(template)
            joined = "/".join(segments)
            path = _Path(template, segments, joined, _letters(joined), methods[template])
            if segments:
                of_length = self._by_segments.setdefault(len(segments), {})
                of_length.setdefault(segments[0], []).append(path)
            self._by_length[len(joined)].append(path)

    def nearest(self, method: str, path: str, *, any_method: bool = True) -> str | None:
        """Return the method and the template that are most like the requested ones; None when nothing is similar.

        It prefers the same method; with `any_method` it may name another one.
        """
        requested = _segments(path.lower())
        if len(path) > _LONGEST_PATH or not 0 < len(requested) <= _MOST_SEGMENTS:
            return None
        method = "GET" if method == "HEAD" else method
        found = [
            (method in known.methods, likeness, known)
            for known, likeness in (*self._alike(requested), *self._alike_as_a_whole(requested))
            if any_method or method in known.methods
        ]
        if not found:
            return None
        has_method, _, best = max(found, key=lambda one: one[:2])
        return f"{method if has_method else best.methods[0]} {best.template}"

    def _alike(self, requested: list[str]) -> Iterator[tuple[_Path, float]]:
        """Yield the paths of as many segments, and how alike the least similar ones are: from 0 to 1."""
        for word, paths in self._by_segments.get(len(requested), {}).items():
            if not _segment_likeness(requested[0], word):
                continue
            for known in paths:
                if likeness := min(map(_segment_likeness, requested, known.segments)):
                    yield known, likeness

    def _alike_as_a_whole(self, requested: list[str]) -> Iterator[tuple[_Path, float]]:
        """Yield the paths of more or fewer segments that are like the requested one, and how much."""
        joined = "/".join(requested)
        letters = _letters(joined)
        least, most = ceil(len(joined) * _LEAST_LENGTH), int(len(joined) / _LEAST_LENGTH)
        for length in range(least, most + 1):
            enough = _LEAST_LIKENESS * (len(joined) + length) / 2
            for known in self._by_length.get(length, ()):
                if (
                    len(known.segments) == len(requested)
                    or len(joined) - (letters & ~known.letters).bit_count() < enough
                    or length - (known.letters & ~letters).bit_count() < enough
                ):
                    continue
                if likeness := _likeness(joined, known.joined):
                    yield known, likeness


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _letters(text: str) -> int:
    """Return a set of the letters, as bits; some letters share one."""
    letters = 0
    for letter in text:
        letters |= 1 << (ord(letter) & 63)
    return letters


def _segment_likeness(came: str, word: str) -> float:
    # A parameter matches anything, but not as well as the same word.
    return 0.99 if word.startswith("{") else _word_likeness(came, word)


def _likeness(came: str, word: str) -> float:
    """Return how alike two words are, 0 if that is not enough.

    Most are not: their lengths and letters rule that out in a twentieth of the time (measured 2026-11-29).
    """
    enough = _LEAST_LIKENESS * (len(came) + len(word)) / 2
    if (
        min(len(came), len(word)) < enough
        or len(came) - len(came.translate(_without_letters_of(word))) < enough
        or len(word) - len(word.translate(_without_letters_of(came))) < enough
    ):
        return 0
    likeness = SequenceMatcher(None, came, word).ratio()
    return likeness if likeness >= _LEAST_LIKENESS else 0


# Many addresses begin with the same word.
_word_likeness = lru_cache(maxsize=1024)(_likeness)


@lru_cache(maxsize=256)
def _without_letters_of(word: str) -> dict[int, int | None]:
    return str.maketrans("", "", word)
