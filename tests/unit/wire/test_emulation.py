"""The payload of an emulated task."""

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.errors import InvalidInput
from taskmill.wire.emulation import emulation_violations
from taskmill.wire.tasks import to_draft

NAMES = ["delay_s", "delay_min_s", "delay_max_s", "failure_probability", "seed", "result", "mine"]


def pointers(payload: dict[str, object]) -> list[str]:
    return [violation.pointer for violation in emulation_violations(payload)]


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"customer": 4711, "anything": {"delay_s": "soon"}},
        {"delay_s": 0},
        {"delay_s": 86_400, "failure_probability": 0, "seed": -1, "result": [None]},
        {"delay_min_s": 1, "delay_max_s": 1.5, "failure_probability": 1},
        {"delay_min_s": 2},
        {"delay_max_s": 2},
    ],
)
def test_a_good_payload_passes(payload: dict[str, object]) -> None:
    assert pointers(payload) == []


@pytest.mark.parametrize(
    ("payload", "wrong"),
    [
        ({"delay_s": -1}, ["/payload/delay_s"]),
        ({"delay_s": 86_400.5}, ["/payload/delay_s"]),
        ({"delay_s": "1"}, ["/payload/delay_s"]),
        ({"delay_s": None}, ["/payload/delay_s"]),
        ({"delay_s": True}, ["/payload/delay_s"]),
        ({"failure_probability": 1.01}, ["/payload/failure_probability"]),
        ({"seed": 1.0}, ["/payload/seed"]),
        ({"seed": True}, ["/payload/seed"]),
        ({"delay_min_s": 2, "delay_max_s": 1}, ["/payload/delay_max_s"]),
        ({"delay_min_s": "2", "delay_max_s": 1}, ["/payload/delay_min_s"]),
        ({"delay_s": 1, "delay_min_s": 2}, ["/payload/delay_min_s"]),
        (
            {"delay_s": 1, "delay_min_s": 1, "delay_max_s": 2},
            ["/payload/delay_max_s", "/payload/delay_min_s"],
        ),
        ({"seed": "x", "delay_s": []}, ["/payload/delay_s", "/payload/seed"]),
    ],
)
def test_the_pointers_of_a_bad_payload_are_reported(
    payload: dict[str, object], wrong: list[str]
) -> None:
    assert pointers(payload) == wrong


def test_only_the_emulated_type_has_its_payload_checked() -> None:
    payload = {"delay_s": "soon"}
    assert to_draft({"name": "x", "type": "mail", "payload": payload}, source="rest").payload
    for body in ({"name": "x"}, {"name": "x", "type": "emulate"}):
        with pytest.raises(InvalidInput):
            to_draft({**body, "payload": payload}, source="rest")


@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([])),
    )
)
def test_any_payload_is_validated_without_a_fault(payload: dict[str, object]) -> None:
    assert all(pointer.startswith("/payload/") for pointer in pointers(payload))
