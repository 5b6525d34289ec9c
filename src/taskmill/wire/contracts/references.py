"""Follows references within a schema; those that lead elsewhere are refused."""

import re
from collections.abc import Collection
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from taskmill.wire.wording import plain

Schema: TypeAlias = Any

_REF: Final = "$ref"
# No longer than any array here: Python refuses to convert thousands of digits.
_INDEX: Final = re.compile("0|[1-9][0-9]{0,5}")


def step(name: str) -> str:
    """Return a name as a step of a pointer into the schema, exactly."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def resolve(
    document: Schema, schema: object, pointer: str, annotations: Collection[str]
) -> tuple[object, str] | str:
    """Return the referenced schema and its pointer; or, as text, what is wrong with the reference.

    A schema with more than `$ref` and annotations is returned itself.
    """
    passed: set[str] = set()
    while isinstance(schema, dict) and _REF in schema and _is_alone(schema, annotations):
        reference = schema[_REF]
        if not isinstance(reference, str) or reference[:1] != "#":
            return f"the reference {plain(str(reference)[:60])}"
        if reference in passed:
            return "a circle of references"
        passed.add(reference)
        found = _look_up(document, unquote(reference[1:]))
        if found is None:
            return f"the reference {plain(reference[:60])}"
        schema, pointer = found, unquote(reference[1:])
    return schema, pointer


def _is_alone(schema: dict[str, object], annotations: Collection[str]) -> bool:
    return all(key == _REF or key in annotations or key.startswith("x-") for key in schema)


def _look_up(document: Schema, pointer: str) -> object | None:
    if pointer and not pointer.startswith("/"):
        return None
    found = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and _INDEX.fullmatch(name) and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found if isinstance(found, dict | bool) else None
