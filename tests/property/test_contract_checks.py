"""Payloads are checked as a library checks them that knows JSON Schema by heart; and no check takes for ever."""

import time
from typing import Any, Final

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings

from taskmill.domain.errors import InvalidInput, Violation
from taskmill.wire.contracts.checking import Walk, violations
from taskmill.wire.contracts.compiling import compile_schema
from taskmill.wire.strict_json import parse
from tests.support.json_schemas import contract_schemas, payloads, tagged_payloads


@settings(suppress_health_check=list(HealthCheck))
@given(schema=contract_schemas(), payload=payloads | tagged_payloads)
def test_what_is_valid_is_so_for_a_library_too(
    schema: dict[str, Any], payload: dict[str, Any]
) -> None:
    try:
        root, _ = compile_schema(schema)
    except InvalidInput as refused:
        assume(all("circle" in one.expected + one.got for one in refused.violations))
        return
    found = violations(root, payload)
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(payload) == (not found)


def found_in(schema: dict[str, Any], payload: bytes) -> tuple[Violation, ...]:
    return violations(compile_schema(schema)[0], parse(payload))


def agrees(schema: dict[str, Any], payload: bytes) -> None:
    """See that the library finds valid what we do."""
    value = parse(payload)
    fits = jsonschema_rs.Draft202012Validator(schema).is_valid(value)
    assert (not found_in(schema, payload)) is fits


LITERALS = (
    "0", "-0", "-0.0", "1.0", "1e2", "1E+2", "1.50", "100.0", "1e15", "1e16", "1.5e15", "1234567890123456.5",
    "123456789012345678", "9223372036854775807", "-9223372036854775808", "9223372036854775807.0", "1e22", "1e300",
    "0.1", "0.1000000000000000055", "0.30000000000000004", "1e-5", "0.00001", "1e-400", "0.0001", "5e-324",
    "12345678901234567890.5", "2.5", "3", "true", "null", '"3"', "[1e2, 3.0]", '{"x": 1e2}',
)  # fmt: skip


@pytest.mark.parametrize("literal", LITERALS)
def test_numbers_are_read_as_a_library_reads_them(literal: str) -> None:
    payload = f'{{"a": {literal}, "b": {literal}, "c": {literal}, "d": [{literal}, 100, 0.1]}}'
    schema = {
        "properties": {
            "a": {"not": {}},
            "b": {"enum": [100, 0.1, 3, {"x": 100}, [100, 3], 9223372036854775807, 1e22]},
            "c": {"type": "integer", "minimum": 3, "exclusiveMaximum": 9223372036854775807},
            "d": {"uniqueItems": True, "items": {"multipleOf": 0.1}},
        }
    }
    agrees(schema, payload.encode())


@pytest.mark.parametrize(
    ("literal", "factor", "fits"),
    [
        ("1152921504606846976.0", 1000, False),
        ("1.152921504606847e18", 1024, True),
        ("1152921504606846976", 1000, False),
        ("1e22", 1000, True),
        ("-9.223372036854775e18", 1000, False),
    ],
)
def test_large_whole_numbers_are_multiples_by_all_their_digits(
    literal: str, factor: int, *, fits: bool
) -> None:
    schema = {"properties": {"a": {"multipleOf": factor}}}
    payload = f'{{"a": {literal}}}'.encode()
    assert (not found_in(schema, payload)) is fits


def test_enumerations_distinguish_values_of_all_kinds() -> None:
    values = [1, True, None, "1", "", [1], [], {}, {"a": 1}, [[1]], 1.5, False, 0]
    literals = (
        "1",
        "1.0",
        "true",
        "null",
        '"1"',
        '""',
        "[1.0]",
        "[]",
        "{}",
        '{"a": 1e0}',
        "[[1]]",
        "1.50",
    )
    for literal in (
        *literals,
        "false",
        "0",
        "-0.0",
        "2",
        '"a"',
        "[2]",
        '{"a": 2}',
        "[[]]",
        "[1, 1]",
        '{"b": 1}',
    ):
        payload = f'{{"a": {literal}}}'.encode()
        for listed in (values, [[one] for one in values]):
            agrees({"properties": {"a": {"enum": listed}}}, payload)


def test_every_name_is_named_whatever_it_is() -> None:
    names = (
        "a\nb",
        "\u202e",
        "~/",
        "ж" * 70,
        "😀",
        "\x7f",
        "é",
        "\u2028",
        "",
        " ",
        '"',
        "\\",
        "中文",
        "\ue000",
        "ß",
    )
    payload = orjson.dumps(dict.fromkeys(names, 1))
    schema = {"additionalProperties": False, "required": ["\t\u0100", "x" * 61]}
    found = found_in(schema, payload)
    assert len(found) == len(names) + 2


UNIQUE: Final = {"allOf": [{"uniqueItems": True}] * 1_000}
LISTED: Final = {"allOf": [{"not": {"enum": [[n], {"a": n}]}} for n in range(900)]}
MATCHED: Final = {"allOf": [{"pattern": "^(?=[^x]*)(?=[^y]*)a*$"}] * 400}


@pytest.mark.parametrize(
    ("schema", "value", "is_too_much"),
    [
        (UNIQUE, list(range(979)), False),
        (UNIQUE, list(range(999)), True),
        pytest.param(UNIQUE, list(range(60_000)), True, marks=pytest.mark.slow),
        pytest.param(LISTED, list(range(60_000)), True, marks=pytest.mark.slow),
        (LISTED, {"a": [[n] for n in range(5_000)]}, True),
        (MATCHED, "a" * 82_999, False),
        (MATCHED, "a" * 84_000, True),
        (MATCHED, "a" * 900_000, True),
        ({"patternProperties": {f"^a*{n}$": {} for n in range(800)}}, {"a" * 900_000: 1}, True),
        ({"patternProperties": {f"^a*{n}$": {} for n in range(800)}}, {"a" * 32_000: 1}, False),
    ],
)  # fmt: skip
def test_what_is_large_is_not_read_again_and_again(
    schema: dict[str, Any], value: object, *, is_too_much: bool
) -> None:
    payload = orjson.dumps({"v": value})
    began = time.process_time()
    found = found_in({"properties": {"v": schema}}, payload)
    # No promise of speed: what is looked at again and again takes far longer.
    assert time.process_time() - began < 30
    assert any("100,000 steps" in one.expected for one in found) is is_too_much


def test_a_check_ends_after_so_many_steps_and_violations() -> None:
    many = orjson.dumps({str(n): "x" for n in range(500)})
    assert len(found_in({"additionalProperties": False}, many)) == 20
    numbers = {"properties": {"a": {"items": {"type": "integer"}}}}
    for size, count in ((99_998, 0), (99_999, 1)):
        found = found_in(numbers, orjson.dumps({"a": [1] * size}))
        assert len(found) == count
    named: dict[str, Any] = {"patternProperties": {"^a": {}, "^b": {}}}
    for size, count in ((49_999, 0), (50_000, 1)):
        found = found_in(named, orjson.dumps({f"c{n}": 1 for n in range(size)}))
        assert len(found) == count
    twice = {"anyOf": [{"properties": {"n": {"$ref": "#"}}, "required": [name]} for name in "ab"]}
    payload: dict[str, Any] = {}
    for _ in range(40):
        payload = {"n": payload}
    [only] = found_in(twice, orjson.dumps(payload))
    assert "100,000 steps" in only.expected
    chain: dict[str, Any] = {"properties": {"n": {"$ref": "#"}}}
    for _ in range(4):
        chain = {"allOf": [chain]}
    [only] = found_in(chain, orjson.dumps(payload))
    assert "100,000 steps" in only.expected


@pytest.mark.parametrize(
    ("schema", "payload", "steps"),
    [
        ({"properties": {"v": {"pattern": "^[ab]{40}"}}}, {"v": "a" * 220}, 1 + 1 + 8),
        ({"properties": {"v": {"pattern": "^(?=a)(?!b)[ab]{9}"}}}, {"v": "a" * 100}, 1 + 1 + 1),
        ({"properties": {"v": {"format": "uuid"}}}, {"v": "é" * 900}, 1 + 1 + 32),
        ({"patternProperties": {"^[ab]{40}": {}, "b": {"pattern": "c"}}}, {"a" * 100: 1}, 1 + 2 + 4 + 1),
        ({"required": [str(n) for n in range(120)]}, {}, 1 + 2),
        ({"properties": {str(n): {} for n in range(60)}, "required": ["a"] * 60}, {"7": 1}, 1 + 1 + 1),
    ],
)  # fmt: skip
def test_fields_and_the_states_of_expressions_are_steps(
    schema: dict[str, Any], payload: object, steps: int
) -> None:
    walk = Walk()
    assert walk.check(compile_schema(schema)[0], payload)
    assert walk.steps == steps
