"""Makes up a payload from a schema, as a first example for people.

It uses the schema's examples and defaults, then its required fields. The payload may not fit: the caller checks
that.
"""

from collections.abc import Iterator
from typing import Any, Final

import orjson

_DEEPEST: Final = 8
_MOST_CHARACTERS: Final = 10_000
_TEXTS: Final = {
    "date": "2030-01-31",
    "date-time": "2030-01-31T09:30:00Z",
    "time": "09:30:00Z",
    "uuid": "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f",
    "email": "somebody@example.com",
    "uri": "https://example.com/",
}
_KINDS: Final = ("object", "string", "integer", "number", "boolean", "array", "null")


class _TooLargeError(Exception):
    """Nobody would read such an example."""


def sample(schema: Any) -> object:  # noqa: ANN401 - a schema is an object or a boolean
    """Return a value that may fit, None when it would be too large."""
    try:
        return _Sampler(schema).sample(schema, 0)
    except _TooLargeError:
        return None


class _Sampler:
    """Makes one value of bounded size: a short schema can ask for texts of any length, and fields without end."""

    def __init__(self, root: Any) -> None:  # noqa: ANN401 - a schema is an object or a boolean
        self._root = root
        self._remaining = _MOST_CHARACTERS

    def _spend(self, characters: int) -> None:
        self._remaining -= characters
        if self._remaining < 0:
            raise _TooLargeError

    def sample(self, schema: Any, depth: int) -> object:  # noqa: ANN401 - see above
        self._spend(1)
        if not isinstance(schema, dict) or depth > _DEEPEST:
            return {}
        if "$ref" in schema:
            return self.sample(_target(schema["$ref"], self._root), depth + 1)
        for value in _given(schema):
            self._spend(len(orjson.dumps(value)))
            return value
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self.sample(schema[choice][0], depth + 1)
        return self._of_kind(schema, depth)

    def _of_kind(self, schema: dict[str, Any], depth: int) -> object:
        kinds = schema.get("type", "object")
        kind = kinds if isinstance(kinds, str) else min(kinds, key=_KINDS.index)
        match kind:
            case "object":
                return self._object(schema, depth)
            case "string":
                return _TEXTS.get(schema.get("format", "")) or self._text(schema)
            case "integer" | "number":
                return _number(schema)
            case "array":
                return self._array(schema, depth)
            case "boolean":
                return True
            case _:
                return None

    def _text(self, schema: dict[str, Any]) -> str:
        length = max(int(schema.get("minLength", 0)), 1)
        self._spend(length)
        return "a" * length

    def _array(self, schema: dict[str, Any], depth: int) -> list[object]:
        firsts = [self.sample(one, depth + 1) for one in schema.get("prefixItems", ())]
        missing = int(schema.get("minItems", 0)) - len(firsts)
        return firsts + [self.sample(schema.get("items"), depth + 1) for _ in range(missing)]

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, object]:
        properties = schema.get("properties", {})
        return {
            name: self.sample(properties.get(name), depth + 1)
            for name in schema.get("required", ())
        }


def _given(schema: dict[str, Any]) -> Iterator[object]:
    """Yield what the schema itself names, the best first."""
    yield from schema.get("examples", ())
    yield from (schema[name] for name in ("default", "const") if name in schema)
    yield from schema.get("enum", ())


def _number(schema: dict[str, Any]) -> object:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    return least if least <= schema.get("maximum", least) else schema["maximum"]


def _target(reference: str, root: Any) -> Any:  # noqa: ANN401 - see above
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found
