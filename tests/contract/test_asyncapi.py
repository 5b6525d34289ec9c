"""The AsyncAPI document against the specification's own schema, and its examples against its schemas."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from taskmill import __version__
from taskmill.amqp.names import (
    CREATE_KEY,
    EVENTS_EXCHANGE,
    EXCHANGE,
    REJECTED_QUEUE,
    event_key,
)
from taskmill.api.asyncapi import document
from taskmill.api.typed_documents import with_types_asyncapi
from taskmill.domain.lifecycle import Status
from taskmill.wire.contracts.contract import Contract, compile_contract
from tests.support.contracts import a_contract
from tests.support.payload_schemas import HOSTILE, Everything

Json = dict[str, Any]

SPECIFICATION = Path(__file__).parent / "asyncapi-3.0.0" / "schema.json"


@pytest.fixture(scope="module")
def document_sent() -> Json:
    """The document as it is sent."""
    sent: Json = orjson.loads(orjson.dumps(document(__version__)))
    return sent


@pytest.fixture(scope="module")
def specification() -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(orjson.loads(SPECIFICATION.read_bytes()))


def test_the_document_is_asyncapi(
    document_sent: Json, specification: jsonschema_rs.Draft7Validator
) -> None:
    assert [error.message for error in specification.iter_errors(document_sent)] == []


@pytest.mark.parametrize("part", ["info", "channels", "operations", "components"])
def test_a_part_that_is_wrong_would_be_noticed(
    document_sent: Json, specification: jsonschema_rs.Draft7Validator, part: str
) -> None:
    assert not specification.is_valid({**document_sent, part: {"unknown": {"unknown": []}}})


def test_every_reference_leads_somewhere(document_sent: Json) -> None:
    references = set(found_references(document_sent))
    assert len(references) > 10
    for reference in references:
        found: Any = document_sent
        for step in reference.removeprefix("#/").split("/"):
            assert step in found, reference
            found = found[step]


def found_references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in found_references(item)]
    if isinstance(value, list):
        return [found for item in value for found in found_references(item)]
    return []


@pytest.mark.parametrize(
    ("message", "count"), [("createTask", 2), ("reply", 2), ("taskChanged", 1)]
)
def test_the_examples_fit_the_schemas(document_sent: Json, message: str, count: int) -> None:
    described = document_sent["components"]["messages"][message]
    schema = {**described["payload"], "components": document_sent["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert len(described["examples"]) == count
    for example in described["examples"]:
        assert [error.message for error in validator.iter_errors(example["payload"])] == []
    assert not validator.is_valid({"surprise": 1})


def test_it_names_the_exchanges_and_queues_of_the_broker(document_sent: Json) -> None:
    create, rejected = document_sent["channels"]["create"], document_sent["channels"]["rejected"]
    assert create["address"] == CREATE_KEY
    assert create["bindings"]["amqp"]["exchange"]["name"] == EXCHANGE
    changes = document_sent["channels"]["changes"]
    assert changes["address"] == event_key("{status}", "{queue}")
    assert changes["bindings"]["amqp"]["exchange"]["name"] == EVENTS_EXCHANGE
    assert changes["parameters"]["status"]["enum"] == [str(status) for status in Status]
    assert rejected["bindings"]["amqp"]["queue"]["name"] == REJECTED_QUEUE


TAKES_ALL = True


def a_compiled_contract(schema: object, name: str) -> Contract:
    made = compile_contract(a_contract(schema, name))
    return Contract(made.type, 1, made.schema, made.defaults)


def test_with_registered_types_it_still_is_asyncapi(
    specification: jsonschema_rs.Draft7Validator,
) -> None:
    contracts = [
        a_compiled_contract(HOSTILE, "order.pay-now"),
        a_compiled_contract(Everything.model_json_schema(), "every-thing"),
        a_compiled_contract(TAKES_ALL, "free"),
    ]
    document_sent = orjson.loads(
        orjson.dumps(with_types_asyncapi(document(__version__), contracts))
    )
    assert [error.message for error in specification.iter_errors(document_sent)] == []
    message = document_sent["components"]["messages"]["createTask"]
    assert len(message["payload"]["anyOf"]) == 4
    # An example of every-thing would need a text that matches its pattern: there is none.
    assert [one.get("name") for one in message["examples"]][2:] == [
        "free",
        "order.pay-now",
    ]
