"""The payload of a task as form fields, for types whose schema is an object of texts, numbers and flags."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from taskmill.domain.task_fields import DEFAULT_TYPE

MOST_FIELDS: Final = 30
_MOST_CHOICES: Final = 50
_LONGEST_WHOLE: Final = 20
# Others have no exact place in JSON as it is written here.
_WRITABLE: Final = range(-(2**63), 2**64)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", re.ASCII)
_SECONDS: Final = {"type": "number", "minimum": 0, "maximum": 86_400}

EMULATION: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "delay_s": _SECONDS,
        "delay_min_s": _SECONDS,
        "delay_max_s": _SECONDS,
        "failure_probability": {"type": "number", "minimum": 0, "maximum": 1},
        "seed": {"type": "integer"},
    },
}
"""The schema of the payload of emulated tasks; they may have more members."""


class Kind(StrEnum):
    """The kind of a field's input."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One scalar of the payload; `choices` are JSON texts, `default` is one or empty."""

    name: str
    kind: Kind
    is_required: bool
    hint: str
    default: str
    choices: tuple[str, ...] = ()

    def value(self, text: str) -> object:
        """Return the value of a form's text; an invalid text stays as it is, and is refused later."""
        match self.kind:
            case Kind.TEXT:
                return text
            case Kind.NUMBER:
                return number(text)
            case Kind.FLAG | Kind.CHOICE:
                return orjson.loads(text) if text in self.offered else text

    def text(self, value: object) -> str | None:
        """Return the form's text for a value, None when there is none."""
        match self.kind, value:
            case Kind.TEXT, str() if value and value == value.strip():
                return value
            case Kind.NUMBER, int() | float() if not isinstance(value, bool):
                return str(value)
            case Kind.FLAG | Kind.CHOICE, None | str() | int() | float():
                shown = orjson.dumps(value).decode()
                return shown if shown in self.offered else None
        return None

    @property
    def offered(self) -> tuple[str, ...]:
        """The choices, as JSON texts."""
        return ("true", "false") if self.kind is Kind.FLAG else self.choices


def number(text: str) -> object:
    """Return a text as a number, or as it is; the number is validated later."""
    if _WHOLE.fullmatch(text) and len(text) <= _LONGEST_WHOLE and int(text) in _WRITABLE:
        return int(text)
    if _NUMBER.fullmatch(text):
        found = float(text)
        return found if abs(found) != float("inf") else text
    return text


def fields_of(task_type: str, schema: str | None) -> tuple[Field, ...]:
    """Return the fields of a type; none when its payloads are more than an object of scalars."""
    if schema is None:
        return tuple(_fields(EMULATION)) if task_type == DEFAULT_TYPE else ()
    found = orjson.loads(schema)
    properties = found.get("properties") if isinstance(found, dict) else None
    if not isinstance(properties, dict) or not 0 < len(properties) <= MOST_FIELDS:
        return ()
    fields = tuple(_fields(found))
    are_all = len(fields) == len(properties) and properties.keys() >= set(found.get("required", ()))
    return fields if are_all else ()


def _fields(schema: Mapping[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, part in schema["properties"].items():
        made = _field(name, part, is_required=name in required)
        if made is not None:
            yield made


def _field(name: str, schema: object, *, is_required: bool) -> Field | None:
    if not isinstance(schema, dict) or "$ref" in schema:
        return None
    kind, choices = _kind(schema)
    if kind is None:
        return None
    return Field(
        name=name,
        kind=kind,
        is_required=is_required,
        hint=str(schema.get("description", "")),
        default="" if schema.get("default") is None else orjson.dumps(schema["default"]).decode(),
        choices=choices,
    )


def _kind(schema: Mapping[str, Any]) -> tuple[Kind | None, tuple[str, ...]]:
    choices = schema.get("enum")
    if isinstance(choices, list):
        is_simple = 0 < len(choices) <= _MOST_CHOICES and not any(
            isinstance(one, dict | list) for one in choices
        )
        return (
            (Kind.CHOICE, tuple(orjson.dumps(one).decode() for one in choices))
            if is_simple
            else (None, ())
        )
    return _KINDS.get(_type_of(schema)), ()


def _type_of(schema: Mapping[str, Any]) -> str:
    """Return the only type other than null; empty when there are several or none."""
    wanted = schema.get("type")
    if wanted is None:
        parts = schema.get("anyOf", ())
        wanted = [part.get("type") for part in parts if isinstance(part, dict)]
        if len(wanted) != len(parts):
            return ""
    types = [wanted] if isinstance(wanted, str) else wanted
    others = [one for one in types if one != "null"]
    return others[0] if len(others) == 1 and isinstance(others[0], str) else ""


_KINDS: Final = {
    "string": Kind.TEXT,
    "integer": Kind.NUMBER,
    "number": Kind.NUMBER,
    "boolean": Kind.FLAG,
}
