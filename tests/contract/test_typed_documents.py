"""The OpenAPI document stays valid whatever contracts are registered, and a service with contracts keeps it."""

from typing import Any

import httpx
import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from taskmill.api.typed_documents import MOST_SHOWN_BYTES, with_types_openapi
from taskmill.domain.errors import ContractRefused
from taskmill.wire.contracts.contract import Contract, compile_contract
from tests.contract.conftest import RunningService
from tests.support.contracts import a_contract
from tests.support.json_schemas import contract_schemas
from tests.support.payload_schemas import HOSTILE, Everything

Json = dict[str, Any]

TAKES_ALL = True


def a_compiled_contract(schema: object, name: str = "a.type-1") -> Contract:
    made = compile_contract(a_contract(schema, name))
    return Contract(made.type, 1, made.schema, made.defaults)


@pytest.fixture(scope="module")
def base(service: RunningService) -> Json:
    """The document as the service has it, without the contracts that other tests have left."""
    for one in httpx.get(f"{service.url}/types").json()["items"]:
        httpx.delete(f"{service.url}/types/{one['name']}").raise_for_status()
    document: Json = httpx.get(f"{service.url}/openapi.json").json()
    return document


def faults(document: Json) -> list[str]:
    sent = orjson.loads(orjson.dumps(document))
    found = [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(sent)]
    schemas = sent["components"]["schemas"]
    return found + [name for name, one in schemas.items() if not jsonschema_rs.meta.is_valid(one)]


def test_the_document_is_openapi_with_and_without_types(base: Json) -> None:
    assert faults(base) == []
    typed = with_types_openapi(
        base,
        [
            a_compiled_contract(HOSTILE),
            a_compiled_contract(Everything.model_json_schema(), "every-thing"),
            a_compiled_contract(TAKES_ALL, "b"),
        ],
    )
    assert faults(typed) == []
    typed["components"]["schemas"]["b"] = {"type": 5}
    assert faults(typed) == ["b"]
    del typed["components"]["schemas"]["b"]
    assert faults({**typed, "paths": {"/x": {"get": 5}}}) != []


@settings(suppress_health_check=list(HealthCheck), derandomize=True)
@given(schema=contract_schemas())
def test_whatever_is_registered_it_stays_openapi(base: Json, schema: Json) -> None:
    try:
        contract = a_compiled_contract(schema)
    except ContractRefused:
        return
    assert faults(with_types_openapi(base, [contract])) == []


def needing(field: Json) -> Json:
    """A schema of objects that need such a field."""
    return {"properties": {"a": field}, "required": ["a"]}


AGAIN: Json = {name: {"$ref": "#"} for name in map(str, range(50))}


@pytest.mark.parametrize(
    "schema",
    [
        needing({"type": "string", "minLength": 10**15}),
        needing({"type": "array", "minItems": 10**15}),
        needing({"type": "array", "minItems": 1000, "items": {"const": "x" * 10_000}}),
        {"properties": AGAIN, "required": list(AGAIN)},
    ],
    ids=["long text", "long array", "large items", "fields without end"],
)
def test_an_example_that_would_be_too_large_is_left_out(base: Json, schema: Json) -> None:
    typed = with_types_openapi(base, [a_compiled_contract(schema)])
    body = typed["paths"]["/tasks"]["post"]["requestBody"]["content"]["application/json"]
    assert list(body["examples"]) == ["any"]
    assert len(orjson.dumps(typed)) < len(orjson.dumps(base)) + 20_000


def test_sizes_may_be_written_with_decimals(base: Json) -> None:
    for field, value in (
        ({"type": "string", "minLength": 2.0}, "aa"),
        ({"type": "array", "minItems": 2.0, "items": {"type": "null"}}, [None, None]),
    ):
        typed = with_types_openapi(base, [a_compiled_contract(needing(field))])
        body = typed["paths"]["/tasks"]["post"]["requestBody"]["content"]["application/json"]
        assert body["examples"]["a.type-1"]["value"]["payload"] == {"a": value}


def test_types_that_would_make_the_document_too_large_are_left_out(base: Json) -> None:
    large = {"description": "x" * 60_000}
    contracts = [a_compiled_contract(large, f"type-{n:03}") for n in range(30)]
    schemas = with_types_openapi(base, contracts)["components"]["schemas"]
    shown = [name for name in schemas if name.startswith("Payload.")]
    assert len(shown) == MOST_SHOWN_BYTES // len(contracts[0].schema)
