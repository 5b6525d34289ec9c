"""The texts of the pages: a JSON file for each language, with the same keys.

The English names of a task's fields come from `domain/task_fields`. A text is a string, or a mapping of plural
forms, which is chosen by `n`. `{name}` stands for a value.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import orjson

from taskmill.domain.task_fields import GIVEN

Forms = str | Mapping[str, str]

LANGUAGES: Final = {"en": "English", "ru": "Русский"}
"""The languages by code, each by its own name; the first is the default."""

DEFAULT: Final = next(iter(LANGUAGES))

_FOLDER: Final = Path(__file__).parent
_WANTED = re.compile(
    r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,40})?\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?"
)
_MOST_WANTED = 20
_TEENS = range(11, 15)
_FEW = range(2, 5)


@cache
def catalogue(language: str) -> Mapping[str, Forms]:
    """Return all texts of a language by key."""
    texts: Mapping[str, Forms] = orjson.loads((_FOLDER / f"{language}.json").read_bytes())
    if language != DEFAULT:
        return texts
    return {**texts, **{f"field.{field.name}": field.label for field in GIVEN}}


def plural(language: str, number: float) -> str:
    """Return which plural form goes with a number: one, few (Russian: 2 to 4) or many."""
    if language != "ru":
        return "one" if number == 1 else "many"
    whole = int(number)
    if whole != number:
        return "few"
    last, last_two = whole % 10, whole % 100
    if last_two not in _TEENS and last == 1:
        return "one"
    return "few" if last_two not in _TEENS and last in _FEW else "many"


def text(language: str, key: str, values: Mapping[str, object]) -> str:
    """Return a text with its values. Raises `KeyError` when there is no such key, or a value is missing."""
    return _filled_in(language, catalogue(language)[key], values)


def why(language: str, key: str, values: Mapping[str, object]) -> str | None:
    """Return a text about a blocker; None when the language has none, or a value is missing.

    English has none: its sentences are part of the explanation.
    """
    return _from_folder("why", language, key, values)


def notice_text(language: str, key: str, values: Mapping[str, object]) -> str | None:
    """Return a text about what needs attention; None as for `why`, and English has none for the same reason."""
    return _from_folder("attention", language, key, values)


def _from_folder(folder: str, language: str, key: str, values: Mapping[str, object]) -> str | None:
    found = _more_texts(folder, language).get(key)
    try:
        return None if found is None else _filled_in(language, found, values)
    except KeyError:
        return None


@cache
def _more_texts(folder: str, language: str) -> Mapping[str, Forms]:
    path = _FOLDER / folder / f"{language}.json"
    texts: Mapping[str, Forms] = orjson.loads(path.read_bytes()) if path.is_file() else {}
    return texts


def _filled_in(language: str, found: Forms, values: Mapping[str, object]) -> str:
    if not isinstance(found, str):
        number = values["n"]
        found = found[plural(language, number if isinstance(number, (int, float)) else 0)]
        values = {**values, "n": grouped(language, number)}
    return found.format_map(values) if values else found


def grouped(language: str, number: object) -> str:
    """Show a whole number with its thousands apart."""
    if not isinstance(number, int):
        return str(number)
    return f"{number:,}".replace(",", "," if language == "en" else "\u202f")


def preferred(header: str) -> str:
    """Return the known language that an `Accept-Language` header ranks first."""
    ranked = sorted(_ranked(header), key=lambda one: -one[0])
    return ranked[0][1] if ranked else DEFAULT


def _ranked(header: str) -> Iterator[tuple[float, str]]:
    for part in header.split(",")[:_MOST_WANTED]:
        found = _WANTED.fullmatch(part)
        if found and (language := found[1].lower()) in LANGUAGES:
            weight = 1.0 if found[2] is None else float(found[2])
            if weight > 0:
                yield weight, language
