"""Adds the types that have contracts to the documents: a named schema for each, and an example to try.

References within a schema are rewritten to its place in the document. What is data within a schema
(examples, defaults, values) is left as it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from taskmill.api.samples import sample
from taskmill.wire.contracts.contract import Contract

Json = dict[str, Any]

MOST_SHOWN_BYTES: Final = 2**20
_SCHEMAS_PATH: Final = "#/components/schemas/"
_REF: Final = "$ref"
_HEADS: Final = frozenset({"$schema", "$id"})
_ONE_SCHEMA: Final = frozenset(
    {"items", "additionalProperties", "propertyNames", "not", "contentSchema"}
)
_SEVERAL: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_BY_NAME: Final = frozenset({"properties", "patternProperties", "$defs", "definitions"})


def with_types_openapi(document: Json, contracts: Iterable[Contract]) -> Json:
    """Return a copy of the OpenAPI document with these types."""
    shown = _shown(contracts)
    if not shown:
        return document
    schemas = {**document["components"]["schemas"], **_schemas(shown, discriminators=True)}
    create = document["paths"]["/tasks"]["post"]
    content: Json = {"schema": _any_of(shown), "examples": dict(_named_examples(shown))}
    body = {**create["requestBody"], "content": {"application/json": content}}
    tasks = {**document["paths"]["/tasks"], "post": {**create, "requestBody": body}}
    return {
        **document,
        "paths": {**document["paths"], "/tasks": tasks},
        "components": {**document["components"], "schemas": schemas},
    }


def with_types_asyncapi(document: Json, contracts: Iterable[Contract]) -> Json:
    """Return a copy of the AsyncAPI document with these types."""
    shown = _shown(contracts)
    if not shown:
        return document
    components = document["components"]
    message = components["messages"]["createTask"]
    examples = [{"name": name, "payload": example["value"]} for name, example in _examples(shown)]
    create = {
        **message,
        "payload": _any_of(shown),
        "examples": [*message["examples"], *examples],
    }
    return {
        **document,
        "components": {
            **components,
            "messages": {**components["messages"], "createTask": create},
            "schemas": {**components["schemas"], **_schemas(shown, discriminators=False)},
        },
    }


def _shown(contracts: Iterable[Contract]) -> list[tuple[Contract, Json | bool]]:
    """Choose the contracts to show: all, unless the document would become too large to load."""
    shown, size = [], 0
    for contract in sorted(contracts, key=lambda one: one.type):
        size += len(contract.schema)
        if size > MOST_SHOWN_BYTES:
            break
        shown.append((contract, orjson.loads(contract.schema)))
    return shown


def _schemas(
    shown: Iterable[tuple[Contract, Json | bool]], *, discriminators: bool
) -> dict[str, Any]:
    schemas: dict[str, Any] = {}
    for contract, schema in shown:
        payload = _payload_name(contract)
        # `{}` has the meaning of the schema `true`, which some tools do not read.
        moved = _relocated(schema, _SCHEMAS_PATH + payload, discriminators=discriminators)
        schemas[payload] = {} if moved is True else moved
        schemas[_task_name(contract)] = {
            "description": f"A task of type `{contract.type}` (contract version {contract.version})",
            "allOf": [{_REF: f"{_SCHEMAS_PATH}CreateTask"}],
            "type": "object",
            "properties": {
                "type": {"const": contract.type},
                "payload": {_REF: _SCHEMAS_PATH + payload},
            },
            "required": ["type"],
        }
    return schemas


def _payload_name(contract: Contract) -> str:
    return f"Payload.{contract.type}"


def _task_name(contract: Contract) -> str:
    return f"CreateTask.{contract.type}"


def _any_of(shown: Iterable[tuple[Contract, Json | bool]]) -> Json:
    names = ["CreateTask", *(_task_name(contract) for contract, _ in shown)]
    return {"anyOf": [{_REF: _SCHEMAS_PATH + name} for name in names]}


def _named_examples(
    shown: Iterable[tuple[Contract, Json | bool]],
) -> Iterator[tuple[str, Json]]:
    yield "any", {"summary": "a task of any other type", "value": {"name": "first"}}
    yield from _examples(shown)


def _examples(shown: Iterable[tuple[Contract, Json | bool]]) -> Iterator[tuple[str, Json]]:
    for contract, schema in shown:
        payload = sample(schema)
        if isinstance(payload, dict) and not contract.violations(payload):
            value = {"name": f"a task: {contract.type}", "type": contract.type, "payload": payload}
            yield contract.type, {"summary": contract.type, "value": value}


def _relocated(schema: Any, pointer: str, *, discriminators: bool) -> Any:  # noqa: ANN401 - a schema is an object or a boolean
    """Return the schema with its references pointing to its new place."""
    if not isinstance(schema, dict):
        return schema
    moved: Json = {}
    for keyword, value in schema.items():
        if keyword in _HEADS or (keyword == "discriminator" and not discriminators):
            continue
        moved[keyword] = _relocated_value(keyword, value, pointer, discriminators=discriminators)
    return moved


def _relocated_value(keyword: str, value: Any, pointer: str, *, discriminators: bool) -> Any:  # noqa: ANN401 - as the keyword has it
    if keyword == _REF:
        return pointer + value.removeprefix("#")
    if keyword == "discriminator":
        return _relocated_discriminator(value, pointer)
    if keyword in _ONE_SCHEMA:
        return _relocated(value, pointer, discriminators=discriminators)
    if keyword in _SEVERAL:
        return [_relocated(one, pointer, discriminators=discriminators) for one in value]
    if keyword in _BY_NAME:
        return {
            name: _relocated(one, pointer, discriminators=discriminators)
            for name, one in value.items()
        }
    return value


def _relocated_discriminator(value: Mapping[str, Any], pointer: str) -> Json:
    moved: Json = {"propertyName": value["propertyName"]}
    if mapping := value.get("mapping"):
        moved["mapping"] = {
            tag: pointer + target.removeprefix("#") if target.startswith("#") else target
            for tag, target in mapping.items()
        }
    return moved
