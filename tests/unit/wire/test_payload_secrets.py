"""The fields that a task names as secret in its payload: masked, left out, and not told in errors."""

import json
from typing import Any

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.wire.contracts.secret_fields import MASK, WHOLLY_MASKED
from taskmill.wire.payload_secrets import left_out_at, masked_at
from taskmill.wire.rules import InputLimits
from taskmill.wire.tasks import to_draft
from tests.unit.wire.test_secret_fields import a_contract

PAYLOAD = {
    "to": "ann",
    "card": {"number": 4711, "cvc": "123"},
    "keys": ["a", "b", {"c": "d"}, "e"],
    "0": "zero",
    "a/b": 1,
    "m~n": 2,
    "": 3,
}


@pytest.mark.parametrize(
    ("pointers", "changed", "left"),
    [
        (["/to"], {"to": MASK}, {"to": None}),
        (["/card"], {"card": MASK}, {"card": None}),
        (
            ["/card/number"],
            {"card": {"number": MASK, "cvc": "123"}},
            {"card": {"cvc": "123"}},
        ),
        (["/card/number", "/card"], {"card": MASK}, {"card": None}),
        (["/card", "/card/number"], {"card": MASK}, {"card": None}),
        (["/to", "/to"], {"to": MASK}, {"to": None}),
        (
            ["/keys/3", "/keys/0", "/keys/2/c"],
            {"keys": [MASK, "b", {"c": MASK}, MASK]},
            {"keys": ["b", {}]},
        ),
        (["/0"], {"0": MASK}, {"0": None}),
        (
            ["/a~1b", "/m~0n", "/"],
            {"a/b": MASK, "m~n": MASK, "": MASK},
            {"a/b": None, "m~n": None, "": None},
        ),
        (
            ["/no", "/to/0", "/keys/4", "/keys/-", "/keys/00", "/keys/x", "/keys/²", "/card/no/no"],
            {},
            {},
        ),
    ],
)
def test_what_pointers_lead_to_is_masked_or_left_out_and_nothing_else(
    pointers: list[str], changed: dict[str, Any], left: dict[str, Any]
) -> None:
    payload, wanted = json.dumps(PAYLOAD), json.dumps(pointers)
    assert json.loads(masked_at(payload, wanted)) == {**PAYLOAD, **changed}
    expected = {**PAYLOAD, **left}
    for name, value in left.items():
        if value is None:
            del expected[name]
    assert json.loads(left_out_at(payload, wanted)) == expected


@pytest.mark.parametrize(
    ("payload", "pointers"), [('{"a": 1}', '["/b", ""]'), ('{"a": 1, "a": 2}', '["/b"]')]
)
def test_a_payload_that_is_secret_as_a_whole_or_can_not_be_read_is_masked_as_a_whole(
    payload: str, pointers: str
) -> None:
    assert masked_at(payload, pointers) == left_out_at(payload, pointers) == WHOLLY_MASKED


@pytest.mark.parametrize(
    "pointers",
    [
        "/to",
        [""] * 21,
        ["to"],
        ["/a~2"],
        ["/a~"],
        ["/" + "a" * 200],
        [4711],
        [None],
        {"0": "/to"},
    ],
)
def test_other_pointers_are_refused(pointers: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        to_draft({"name": "t", "payload_secrets": pointers}, source="rest")
    [violation] = caught.value.violations
    assert violation.pointer.startswith("/payload_secrets")
    assert "at most 20 JSON pointers" in violation.expected


def test_as_many_as_allowed_are_taken_and_none_is_as_if_there_were_no_list() -> None:
    pointers = ["", "/a~0~1/0", "/" + "ä" * 199] * 6 + ["/ "] * 2
    draft = to_draft({"name": "t", "payload_secrets": pointers}, source="rest")
    assert json.loads(draft.payload_secrets or "") == pointers
    assert to_draft({"name": "t", "payload_secrets": []}, source="rest").payload_secrets is None


@pytest.mark.parametrize("more", [{}, {"priority": 99}, {"payload_secrets_": 1}])
@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        ("/pin", ["/payload/pin expected a number of at most 5, got a masked value"]),
        ("", ["/payload expected a value that fits, got a masked value"] * 2),
        ("/card", ["/payload/card expected a value that fits, got a masked value"]),
    ],
)
def test_an_error_says_nothing_of_a_secret_value(
    pointer: str, said: list[str], more: dict[str, Any]
) -> None:
    number = {"type": "number", "maximum": 5}
    card = {"type": "object", "properties": {"pin": number}}
    limits = InputLimits(contracts={"t": a_contract(pin=number, card=card)})
    payload = {"pin": 4711, "card": {"pin": 4711}}
    body = {"name": "t", "type": "t", "payload": payload, "payload_secrets": [pointer], **more}
    with pytest.raises(InvalidInput) as caught:
        to_draft(body, source="rest", limits=limits)
    found = [
        f"{one.pointer} expected {one.expected}, got {one.got}" for one in caught.value.violations
    ]
    assert set(said) <= set(found)
    assert sum("4711" in one for one in found) == (0 if pointer == "" else 1), found


def test_an_error_says_nothing_of_a_secret_value_of_a_built_in_type() -> None:
    payload = {"delay_s": -4711, "jitter_s": -4712}
    body = {"name": "t", "payload": payload, "payload_secrets": ["/delay_s"]}
    with pytest.raises(InvalidInput) as caught:
        to_draft(body, source="rest")
    found = [(one.pointer, one.got) for one in caught.value.violations]
    assert ("/payload/delay_s", "a masked value") in found
    assert "4711" not in str(caught.value)
