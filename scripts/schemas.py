"""JSON Schemas in words and tables, for reference pages that are generated from OpenAPI and AsyncAPI."""
# ruff: noqa: INP001 - beside the programs that use it

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from taskmill.wire.fields import NAME_PATTERN

Json = dict[str, Any]
Link = Callable[[str], str]
"""Where a model is described, by its name."""

_NUMBERS: Final = {"integer": "whole number", "number": "number"}
_FORMATS: Final = {"uuid": "UUID", "date-time": "time", "uri": "URL"}


def words(schema: Json, link: Link) -> str:
    """Describe the valid values in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}]({link(name)})"
    if "anyOf" in schema or "oneOf" in schema:
        options = schema.get("anyOf") or schema["oneOf"]
        return " or ".join(words(option, link) for option in options)
    if "enum" in schema:
        return ", ".join(_code(value) for value in schema["enum"])
    if "const" in schema:
        return _code(schema["const"])
    return _typed(schema, link)


def _typed(schema: Json, link: Link) -> str:
    kind = schema.get("type", "anything")
    if kind == "array":
        inner = words(schema["items"], link) if schema.get("items") else "anything"
        return f"list of {inner}{_bounds(schema, 'Items')}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {words(values, link)}" if isinstance(values, dict) else "object"
    if kind == "string":
        return _text(schema)
    if kind in _NUMBERS:
        return _NUMBERS[kind] + _bounds(schema, "imum")
    return "`true`, `false`" if kind == "boolean" else str(kind)


def _text(schema: Json) -> str:
    kind = _FORMATS.get(schema.get("format", ""), "text")
    if "pattern" in schema and "maxLength" not in schema:
        pattern = schema["pattern"]
        return "name" if pattern == NAME_PATTERN else f"text like {_code(pattern)}"
    return kind + _bounds(schema, "Length")


def _bounds(schema: Json, what: str) -> str:
    """Describe the bounds of a number (`imum`), or of a `Length` or of `Items`."""
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    unit = {"Length": " characters", "Items": "", "imum": ""}[what]
    if "exclusiveMinimum" in schema:
        above = f"over {schema['exclusiveMinimum']:,}"
        return f" ({above}, up to {most:,})" if most is not None else f" ({above})"
    if least is not None and most is not None:
        return f" ({least:,} to {most:,}{unit})"
    if most is not None:
        return f" (up to {most:,}{unit})"
    return f" ({least:,}{unit} or more)" if least is not None else ""


def fields(schema: Json, link: Link) -> Iterator[str]:
    """Yield a table of an object's fields; with a column of defaults if any field is optional."""
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    may_lack = bool(set(properties) - required)
    head = ["field", "values", *(["default"] if may_lack else []), "what"]
    yield from (row(head), row(["---"] * len(head)))
    for name, field in properties.items():
        default = ["required" if name in required else _default(field)] if may_lack else []
        yield row([f"`{name}`", words(field, link), *default, field.get("description", "")])


def _default(field: Json) -> str:
    value = field.get("default")
    return "" if value is None else _code(value)


def row(cells: list[str]) -> str:
    """Return a row of a table."""
    inside = (" ".join(cell.replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(inside)} |" if cells[0] != "---" else f"|{'|'.join(cells)}|"


def _code(value: object) -> str:
    if value == "":
        return "empty"
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`"
