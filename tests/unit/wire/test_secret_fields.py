"""What is secret in a payload: found in a contract, masked, left out, and not told in errors."""

import json
from typing import Any

import pytest

from taskmill.wire.contracts.contract import Contract
from taskmill.wire.contracts.secret_fields import MASK, MOST_STEPS, WHOLLY_MASKED
from taskmill.wire.masking import PUSH_SECRETS, secrets_of
from taskmill.wire.push import push_violations

SECRET: dict[str, Any] = {"type": "string", "writeOnly": True}
CANARY = "correct-horse"


def a_contract(**properties: object) -> Contract:
    return of_schema({"type": "object", "properties": properties})


def of_schema(schema: object) -> Contract:
    return Contract("t", 1, json.dumps(schema, separators=(",", ":")))


def masked(contract: Contract, payload: object) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(contract.secrets().masked(json.dumps(payload)))


@pytest.mark.parametrize(
    ("schema", "payload", "expected"),
    [
        (SECRET, CANARY, MASK),
        (SECRET, 4711, MASK),
        (SECRET, {"a": CANARY}, MASK),
        (
            {"type": "object", "properties": {"b": SECRET}},
            {"b": CANARY, "c": 1},
            {"b": MASK, "c": 1},
        ),
        ({"type": "array", "items": SECRET}, [CANARY, CANARY], [MASK, MASK]),
        ({"prefixItems": [{}, SECRET], "items": {}}, [1, CANARY, 2], [1, MASK, 2]),
        (
            {"additionalProperties": SECRET, "properties": {"b": {}}},
            {"a": "x", "b": 1},
            {"a": MASK, "b": 1},
        ),
        ({"patternProperties": {"^s_": SECRET}}, {"s_a": "x", "t_a": 1}, {"s_a": MASK, "t_a": 1}),
        ({"anyOf": [SECRET, {"type": "null"}]}, CANARY, MASK),
        ({"oneOf": [{"type": "integer"}, SECRET]}, CANARY, MASK),
        ({"allOf": [{"properties": {"b": SECRET}}, {}]}, {"b": CANARY}, {"b": MASK}),
        ({"$ref": "#/$defs/secret"}, CANARY, MASK),
        ({"$ref": "#/$defs/text", "writeOnly": True}, CANARY, MASK),
        (
            {"$ref": "#/$defs/tree"},
            {"own": 1, "sub": {"sub": {"key": "x"}}},
            {"own": 1, "sub": {"sub": {"key": MASK}}},
        ),
        ({"type": "string", "writeOnly": False}, "shown", "shown"),
    ],
)
def test_what_a_contract_marks_is_masked_wherever_it_is(
    schema: object, payload: object, expected: object
) -> None:
    tree = {"properties": {"key": SECRET, "sub": {"$ref": "#/$defs/tree"}}}
    contract = of_schema(
        {
            "type": "object",
            "properties": {"a": schema},
            "$defs": {"secret": SECRET, "text": {"type": "string"}, "tree": tree, "unused": SECRET},
        }
    )
    assert masked(contract, {"a": payload, "z": 1.50}) == {"a": expected, "z": 1.5}


def test_a_payload_that_is_secret_as_a_whole_stays_an_object() -> None:
    contract = of_schema({"type": "object", "writeOnly": True})
    assert (
        contract.secrets().masked('{"a":1}')
        == contract.secrets().left_out('{"a":1}')
        == WHOLLY_MASKED
    )


def test_what_can_not_be_read_is_masked_as_a_whole() -> None:
    secrets = a_contract(a=SECRET).secrets()
    assert secrets.masked('{"a":1,"a":2}') == WHOLLY_MASKED
    assert secrets.masked("[1]") == WHOLLY_MASKED


def test_all_is_masked_where_an_old_contract_can_not_be_read_any_more() -> None:
    contract = of_schema({"unheard-of": 1, "properties": {"a": SECRET}})
    assert contract.secrets().masked('{"b":1}') == WHOLLY_MASKED
    assert not of_schema({"unheard-of": 1}).secrets()


def test_a_copy_has_no_secret_fields() -> None:
    secrets = a_contract(a=SECRET, b={"type": "array", "items": SECRET}).secrets()
    assert secrets.left_out('{"a":"x","b":["y"],"c":1}') == '{"b":[],"c":1}'


def test_only_types_with_secrets_have_some() -> None:
    contracts = {"s": a_contract(a=SECRET), "p": a_contract(a={"type": "string"})}
    assert secrets_of("s", contracts)
    assert secrets_of("http", contracts) is PUSH_SECRETS
    assert [secrets_of(one, contracts) for one in ("p", "unknown")] == [None, None]


def test_a_push_shows_the_names_of_its_headers_only() -> None:
    payload = json.dumps({"url": "https://example.org/", "headers": {"Authorization": CANARY}})
    assert json.loads(PUSH_SECRETS.masked(payload)) == {
        "url": "https://example.org/",
        "headers": {"Authorization": MASK},
    }


@pytest.mark.parametrize(
    ("value", "pointer", "expected"),
    [
        (4711, "/payload/a", "a string"),
        ({"4711": True}, "/payload/a", "a string"),
    ],
)
def test_an_error_does_not_show_a_secret_value(value: object, pointer: str, expected: str) -> None:
    (found,) = a_contract(a=SECRET).violations({"a": value})
    assert (found.pointer, found.expected, found.got) == (pointer, expected, "a masked value")


def test_an_error_within_a_secret_says_only_that_it_does_not_fit() -> None:
    inner = {
        "type": "object",
        "properties": {"b": {"type": "string"}},
        "additionalProperties": False,
    }
    (found,) = a_contract(a={**inner, "writeOnly": True}).violations({"a": {"b": 4711, "c4711": 1}})
    assert (found.pointer, found.got) == ("/payload/a", "a masked value")
    assert "4711" not in str(found)


def test_an_error_says_that_a_secret_is_missing() -> None:
    contract = of_schema({"type": "object", "properties": {"a": SECRET}, "required": ["a"]})
    (found,) = contract.violations({})
    assert (found.pointer, found.got) == ("/payload/a", "nothing")


def test_an_error_does_not_show_the_value_of_a_header() -> None:
    found = push_violations({"url": "https://example.org/", "headers": {"X-Pin": 4711}})
    assert [(one.pointer, one.got) for one in found] == [
        ("/payload/headers/X-Pin", "a masked value")
    ]


def with_patterns(count: int) -> Contract:
    """A contract of which each field is compared with so many patterns."""
    patterns = {f"^{number}_": SECRET for number in range(count)}
    return of_schema({"type": "object", "patternProperties": patterns})


def test_what_would_take_too_long_is_masked_as_a_whole() -> None:
    payload = {f"field {number}": CANARY for number in range(2000)}
    wide = with_patterns(MOST_STEPS // 2000 + 1)
    assert masked(wide, payload) == json.loads(WHOLLY_MASKED)
    assert wide.secrets().left_out(json.dumps(payload)) == WHOLLY_MASKED
    assert masked(with_patterns(100), payload) == payload


def test_hiding_costs_as_much_as_there_is_to_compare_with() -> None:
    payload = json.dumps({"b": CANARY})
    assert a_contract(b=SECRET).secrets().cost(payload) == len(payload)
    assert with_patterns(99).secrets().cost(payload) == 100 * len(payload)
