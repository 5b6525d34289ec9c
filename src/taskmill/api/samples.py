"""Makes a payload up from a schema, for people to begin with.

It tries the likely: what the schema gives as an example or default, then its required fields. It is no promise:
whoever uses it checks that it fits.
"""

from collections.abc import Iterator
from typing import Any, Final

_DEEPEST: Final = 8
_TEXTS: Final = {
    "date": "2030-01-31",
    "date-time": "2030-01-31T09:30:00Z",
    "time": "09:30:00Z",
    "uuid": "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f",
    "email": "somebody@example.com",
    "uri": "https://example.com/",
}
_KINDS: Final = ("object", "string", "integer", "number", "boolean", "array", "null")


def sample(schema: Any) -> object:  # noqa: ANN401 - a schema is an object or a boolean
    """Return a value that may fit."""
    return _sample(schema, schema, 0)


def _sample(schema: Any, root: Any, depth: int) -> object:  # noqa: ANN401 - see above
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return {}
    if "$ref" in schema:
        return _sample(_target(schema["$ref"], root), root, depth + 1)
    for value in _given(schema):
        return value
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in schema:
            return _sample(schema[choice][0], root, depth + 1)
    return _of_kind(schema, root, depth)


def _given(schema: dict[str, Any]) -> Iterator[object]:
    """Yield what the schema itself names, the best first."""
    yield from schema.get("examples", ())
    yield from (schema[name] for name in ("default", "const") if name in schema)
    yield from schema.get("enum", ())


def _of_kind(schema: dict[str, Any], root: Any, depth: int) -> object:  # noqa: ANN401 - see above
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else min(kinds, key=_KINDS.index)
    match kind:
        case "object":
            return _object(schema, root, depth)
        case "string":
            return _TEXTS.get(schema.get("format", "")) or "a" * max(schema.get("minLength", 0), 1)
        case "integer" | "number":
            return _number(schema)
        case "array":
            item = _sample(schema.get("items"), root, depth + 1)
            firsts = [_sample(one, root, depth + 1) for one in schema.get("prefixItems", ())]
            return firsts + [item] * max(schema.get("minItems", 0) - len(firsts), 0)
        case "boolean":
            return True
        case _:
            return None


def _object(schema: dict[str, Any], root: Any, depth: int) -> dict[str, object]:  # noqa: ANN401 - see above
    properties = schema.get("properties", {})
    return {
        name: _sample(properties.get(name), root, depth + 1) for name in schema.get("required", ())
    }


def _number(schema: dict[str, Any]) -> object:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    return least if least <= schema.get("maximum", least) else schema["maximum"]


def _target(reference: str, root: Any) -> Any:  # noqa: ANN401 - see above
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found
