"""Which schemas are accepted, and the errors of those that are not."""

import sys
from typing import Any

import orjson
import pytest

from taskmill.domain.contracts import TypeContract
from taskmill.domain.errors import ContractRefused
from taskmill.wire.contracts.checking import Walk
from taskmill.wire.contracts.compiling import compile_schema
from taskmill.wire.contracts.contract import Contract, compile_contract, refuse_many_checks
from tests.support.payload_schemas import Everything

Json = dict[str, Any]


def a_contract(schema: object, type: str = "a-type", **defaults: Any) -> TypeContract:  # noqa: A002, ANN401 - as in the domain
    text = schema if isinstance(schema, str) else orjson.dumps(schema).decode()
    return TypeContract(type=type, schema=text, defaults=defaults)


def a_compiled_contract(schema: object) -> Contract:
    made = compile_contract(a_contract(schema))
    return Contract(made.type, 1, made.schema, made.defaults)


def violations(schema: object, payload: object) -> list[str]:
    return [str(one) for one in a_compiled_contract(schema).violations(payload)]  # type: ignore[arg-type]  # what comes is anything


def refused(contract: TypeContract) -> list[str]:
    with pytest.raises(ContractRefused) as caught:
        compile_contract(contract)
    assert caught.value.type == contract.type
    assert contract.type in str(caught.value)
    return [one.pointer for one in caught.value.violations]


FITS: Json = {
    "whole": 5,
    "code": "AB12",
    "pet": {"kind": "cat"},
    "color": "red",
    "at": "2030-01-31T09:30:00",
    "id": "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f",
    "pair": [1, "x"],
}


def test_schemas_of_ordinary_pydantic_models_are_accepted() -> None:
    schema = Everything.model_json_schema()
    assert violations(schema, FITS) == []
    Everything.model_validate(FITS)
    wrong = {
        **FITS,
        "whole": 7,
        "pet": {"kind": "fish"},
        "tree": {"value": 1, "branches": [{"value": "x"}]},
        "at": "soon",
        "pair": [1],
        "by_code": {"x1": "one"},
        "more": True,
    }
    names = ", ".join(list(schema["properties"])[:20])
    assert violations(schema, wrong) == [
        "/payload/whole: expected a multiple of 5, got the number 7",
        '/payload/pet/kind: expected one of "cat", "dog", got a string of 4 characters',
        "/payload/tree/branches/0/value: expected a whole number, got a string of 1 character",
        "/payload/at: expected a date and time such as 2030-01-31T09:30:00Z, got a string of 4 characters",
        "/payload/pair: expected an array of at least 2 items, got 1 item",
        "/payload/by_code/x1: expected a whole number, got a string of 3 characters",
        f"/payload/more: expected only the fields {names} and 4 more, got an unknown field",
    ]


def test_pydantics_older_pattern_of_decimals_is_accepted() -> None:
    schema = {"properties": {"a": {"pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}}}
    fit, wrong = ("1.5", "-0", "+.5", "007"), ("", "-", ".", "1.5x", "1.2.3")
    assert [text for text in (*fit, *wrong) if not violations(schema, {"a": text})] == list(fit)


def test_a_missing_payload_counts_as_an_empty_one() -> None:
    assert violations({"required": ["to"]}, None) == ["/payload/to: expected a value, got nothing"]
    assert violations({}, None) == []


def test_annotations_are_ignored() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/x",
        "title": "T",
        "description": "d",
        "x-own": {"if": 1},
        "examples": [{"$ref": "#/nowhere"}],
        "properties": {
            "a": {"format": "something-new", "default": {"$ref": 1}, "deprecated": True}
        },
    }
    assert violations(schema, {"a": "anything"}) == []


@pytest.mark.parametrize(
    ("schema", "pointers"),
    [
        ("{", ["/payload_schema"]),
        ('{"a": 1, "a": 2}', ["/payload_schema"]),
        (5, ["/payload_schema"]),
        ({"type": "string"}, ["/payload_schema"]),
        ({"if": {}, "then": {}}, ["/payload_schema/if", "/payload_schema/then"]),
        ({"typo": 1}, ["/payload_schema/typo"]),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ["/payload_schema/$schema"]),
        ({"properties": {"a": {"$id": "x"}}}, ["/payload_schema/properties/a/$id"]),
        ({"properties": {"a": {"type": "int"}}}, ["/payload_schema/properties/a/type"]),
        ({"properties": {"a/b": {"minimum": "1"}}}, ["/payload_schema/properties/a~1b/minimum"]),
        ({"properties": {"a": {"minLength": -1}}}, ["/payload_schema/properties/a/minLength"]),
        ({"properties": {"a": {"items": [{}]}}}, ["/payload_schema/properties/a/items"]),
        ({"properties": {"a": {"enum": []}}}, ["/payload_schema/properties/a/enum"]),
        ({"properties": {"a": {"pattern": "(?<=x)y"}}}, ["/payload_schema/properties/a/pattern"]),
        ({"patternProperties": {"[": {}}}, ["/payload_schema/patternProperties/["]),
        ({"properties": {"a": {"$ref": "#/$defs/no"}}}, ["/payload_schema/properties/a"]),
        ({"properties": {"a": {"$ref": "other.json"}}}, ["/payload_schema/properties/a"]),
        ({"properties": {"a": {"$ref": f"#/allOf/{'9' * 5000}"}}, "allOf": [{}]}, None),
        ({"properties": {"a": {"$ref": "#/allOf/00"}}, "allOf": [{}]}, None),
        ({"$ref": "#"}, ["/payload_schema"]),
        ({"allOf": [{"$ref": "#"}]}, ["/payload_schema"]),
        ({"$defs": {"unused": {"type": 5}}}, ["/payload_schema/$defs/unused/type"]),
        ({"title": 5, "examples": {}, "deprecated": "no"}, 3 * [None]),
        ({"discriminator": {"mapping": {}}}, ["/payload_schema/discriminator"]),
        ({"properties": {str(n): {"enum": [n]} for n in range(2001)}}, None),
        ({"description": "x" * 65_536}, ["/payload_schema"]),
    ],
)
def test_a_schema_that_can_not_be_checked_is_refused_with_the_pointer(
    schema: object, pointers: list[str | None] | None
) -> None:
    found = refused(a_contract(schema))
    if pointers is None:
        assert found
    elif None in pointers:
        assert len(found) == len(pointers)
    else:
        assert found == pointers


@pytest.mark.parametrize("depth", [15, 17])
def test_alternatives_within_alternatives_have_a_limit(depth: int) -> None:
    schema: Json = {"type": "object"}
    for _ in range(depth):
        schema = {"anyOf": [schema, {"$ref": "#/$defs/other"}]}
    document = {**schema, "$defs": {"other": {}}}
    if depth < 16:
        assert violations(document, {}) == []
    else:
        assert refused(a_contract(document)) == ["/payload_schema"]


def doubled(times: int, innermost: Json, keyword: str = "anyOf") -> Json:
    """Return a schema of a value that `2 ** times` schemas check."""
    defs: Json = {"at-0": innermost}
    for n in range(times):
        defs[f"at-{n + 1}"] = {keyword: [{"$ref": f"#/$defs/at-{n}"}, {"$ref": f"#/$defs/at-{n}"}]}
    return {"$defs": defs, "properties": {"a": {"items": {"$ref": f"#/$defs/at-{times}"}}}}


@pytest.mark.parametrize("keyword", ["anyOf", "oneOf", "allOf"])
def test_alternatives_that_multiply_are_refused_before_they_take_long(keyword: str) -> None:
    accepted = doubled(7, {"type": "string", "maxLength": 1}, keyword)
    refuse_many_checks(compile_contract(a_contract(accepted)))
    with pytest.raises(ContractRefused, match=r"at most 256 schemas that check one value.*511"):
        refuse_many_checks(compile_contract(a_contract(doubled(8, {"type": "string"}, keyword))))


def steps_of(schema: Json, payload: Json) -> int:
    walk = Walk()
    assert walk.check(compile_schema(schema)[0], payload)
    return walk.steps


def test_500_bytes_are_checked_in_a_bounded_number_of_steps() -> None:
    """That is 0.3 s at most: 250 values, each checked as often as allowed."""
    schema = doubled(7, {"type": "string"})
    items = schema["properties"]["a"]
    items["items"] = {"not": items["items"]}
    refuse_many_checks(compile_contract(a_contract(schema)))
    payload = {"a": [1] * 250}
    assert len(orjson.dumps(payload)) < 512
    assert steps_of(schema, payload) == 2 + 250 * 256


def test_fields_that_are_looked_up_and_the_states_of_expressions_are_steps() -> None:
    """A schema that requires 5,000 fields took 20 s for `{}`; one with 900 states 12 s for a megabyte."""
    many = {"required": [f"field-{n}" for n in range(5_000)]}
    assert steps_of(many, {}) == 1 + 100
    assert steps_of({"properties": {"a": {"not": many}}}, {"a": {}}) == 1 + 1 + 1 + 100
    slow = {"properties": {"a": {"pattern": "^[01]*1[01]{900}$"}}}
    assert steps_of(slow, {"a": "1" * 2_000}) == 1 + 1 + 2_000 * 902 // 1_000
    [only] = violations(slow, {"a": "1" * 1_000_000})
    assert "a payload that can be checked in 100,000 steps" in only


def test_a_check_that_begins_deep_in_the_stack_refuses_instead_of_failing() -> None:
    chain: Json = {"properties": {"a": {"$ref": "#/$defs/top"}}}
    for _ in range(13):
        chain = {"anyOf": [chain]}
    source = a_compiled_contract({"$defs": {"top": chain}, "$ref": "#/$defs/top"})
    payload: Json = {}
    for _ in range(60):
        payload = {"a": payload}

    def at(depth: int) -> list[str]:
        return at(depth - 1) if depth else [str(one) for one in source.violations(payload)]

    [only] = at(sys.getrecursionlimit() // 2)
    assert "a payload that can be checked in 100,000 steps" in only


@pytest.mark.parametrize("name", ["", "Upper", "a b", "x" * 64, "emulate", "http"])
def test_a_type_needs_a_name_of_its_own(name: str) -> None:
    assert refused(a_contract({}, type=name)) == ["/type"]


def test_defaults_are_checked_like_the_fields_of_a_request() -> None:
    contract = a_contract({}, queue="No Queue", priority=10, timeout_s=30 * 86_400)
    assert refused(contract) == ["/defaults/queue", "/defaults/priority", "/defaults/timeout_s"]


def test_defaults_are_stored_with_all_that_they_mean() -> None:
    """Their text is part of the digest: another one would make a new version of each contract that is there."""
    made = compile_contract(a_contract({}, retry={"max_s": 60}, queue=None, timeout_s=5))
    assert made.defaults == (
        '{"retry":{"base_s":1.0,"factor":2.0,"max_s":60.0,"jitter":0.1},"timeout_s":5.0}'
    )


def test_the_same_contract_has_the_same_digest_and_any_other_another() -> None:
    first = compile_contract(a_contract('{"type": "object"}'))
    again = compile_contract(a_contract('{"type":"object"}'))
    schema = compile_contract(a_contract('{"type":"object","title":"x"}'))
    defaults = compile_contract(a_contract('{"type":"object"}', queue="q"))
    assert first == again
    assert len({first.digest, schema.digest, defaults.digest}) == 3


def test_a_payload_that_takes_too_long_to_check_is_refused_and_others_are_not_held_up() -> None:
    """Two alternatives on every level would multiply to 2 ** 60."""
    twice = {"$ref": "#/$defs/node"}
    node = {
        "type": "object",
        "anyOf": [
            {"properties": {"next": twice}, "required": ["a"]},
            {"properties": {"next": twice}, "required": ["b"]},
        ],
    }
    payload: Json = {}
    for _ in range(60):
        payload = {"next": payload}
    [only] = violations({**node, "$defs": {"node": node}}, payload)
    assert only == (
        "/payload: expected a payload that can be checked in 100,000 steps, got one that takes more"
    )


def test_an_error_names_twenty_violations_at_most() -> None:
    schema = {"additionalProperties": {"type": "integer"}}
    assert len(violations(schema, {str(n): "x" for n in range(500)})) == 20


def test_names_are_shown_short_and_printable() -> None:
    schema = {"additionalProperties": False}
    [found] = violations(schema, {"a\n\u202e/~" + "ж" * 100: 1})
    assert found.startswith("/payload/a\\u000a\\u202e~1~0" + "ж" * 54 + "…: expected no such field")
