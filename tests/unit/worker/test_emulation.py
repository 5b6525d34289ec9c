"""Emulated work: how long it takes, how often it fails, and what payloads may set."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

from taskmill.worker.emulation import EmulatedFailure, Emulation, Profile
from tests.support.contexts import a_context

USUAL = Profile(delay_min_s=5, delay_max_s=10, failure_probability=0.2)
AT_ONCE = Profile(delay_min_s=0, delay_max_s=0, failure_probability=0.0)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({}, (5, 10, 0.2)),
        ({"delay_s": 3}, (3, 3, 0.2)),
        ({"delay_s": 0, "failure_probability": 1}, (0, 0, 1)),
        ({"delay_min_s": 1, "delay_max_s": 2}, (1, 2, 0.2)),
        ({"delay_min_s": 7}, (7, 10, 0.2)),
        ({"delay_min_s": 20}, (20, 20, 0.2)),
        ({"delay_max_s": 7}, (5, 7, 0.2)),
        ({"delay_max_s": 2}, (2, 2, 0.2)),
        ({"delay_min_s": 9, "delay_max_s": 1}, (9, 9, 0.2)),
        ({"failure_probability": 7}, (5, 10, 1)),
        ({"delay_s": "soon", "failure_probability": None}, (5, 10, 0.2)),
        ({"delay_s": True}, (5, 10, 0.2)),
        ({"delay_s": -1}, (5, 10, 0.2)),
        ({"delay_s": float("nan")}, (5, 10, 0.2)),
        ({"delay_s": [1]}, (5, 10, 0.2)),
    ],
)
def test_a_payload_can_override_the_profile(
    payload: dict[str, Any], expected: tuple[float, float, float]
) -> None:
    profile = USUAL.adjusted(payload)
    assert (profile.delay_min_s, profile.delay_max_s, profile.failure_probability) == expected


@given(
    st.dictionaries(
        st.sampled_from(["delay_s", "delay_min_s", "delay_max_s", "failure_probability"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none()),
    )
)
def test_no_payload_makes_a_profile_that_is_none(payload: dict[str, Any]) -> None:
    profile = USUAL.adjusted(payload)
    assert 0 <= profile.delay_min_s <= profile.delay_max_s < float("inf")
    assert 0 <= profile.failure_probability <= 1


class Slept(Exception):
    """How long the emulation would have slept."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


@pytest.fixture
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sleeping raises its duration."""

    async def sleep(seconds: float) -> None:
        raise Slept(seconds)

    monkeypatch.setattr("taskmill.worker.emulation.sleep", sleep)


async def delay(emulation: Emulation, payload: Mapping[str, Any], attempt: int = 1) -> float:
    with pytest.raises(Slept) as slept:
        await emulation(a_context(payload, attempt=attempt))
    return slept.value.seconds


@pytest.mark.usefixtures("no_sleep")
async def test_delays_are_spread_within_their_bounds() -> None:
    emulation = Emulation(USUAL, random.Random(1))  # noqa: S311 - no secret
    delays = [await delay(emulation, {}) for _ in range(500)]
    assert 5 <= min(delays) < 5.2
    assert 9.8 < max(delays) <= 10


@pytest.mark.usefixtures("no_sleep")
async def test_a_seed_makes_delays_repeat_for_the_same_attempt_only() -> None:
    emulations = [Emulation(USUAL, random.Random(n)) for n in (1, 2)]  # noqa: S311 - no secret
    first = [await delay(one, {"seed": 7}, attempt=1) for one in emulations]
    second = [await delay(one, {"seed": 7}, attempt=2) for one in emulations]
    other = await delay(emulations[0], {"seed": 8}, attempt=1)
    assert first[0] == first[1]
    assert second[0] == second[1]
    assert len({first[0], second[0], other}) == 3


async def outcome(emulation: Emulation, payload: Mapping[str, Any], attempt: int = 1) -> bool:
    try:
        await emulation(a_context(payload, attempt=attempt))
    except EmulatedFailure:
        return False
    return True


async def test_the_failure_probability_of_the_profile_is_respected() -> None:
    profile = Profile(delay_min_s=0, delay_max_s=0, failure_probability=0.2)
    emulation = Emulation(profile, random.Random(3))  # noqa: S311 - no secret
    succeeded = sum([await outcome(emulation, {}) for _ in range(2000)])
    assert 1500 < succeeded < 1700
    assert not any([await outcome(emulation, {"failure_probability": 1}) for _ in range(100)])
    assert all([await outcome(emulation, {"failure_probability": 0}) for _ in range(100)])


async def test_a_seed_makes_outcomes_repeat() -> None:
    profile = Profile(delay_min_s=0, delay_max_s=0, failure_probability=0.5)
    runs = [
        [
            await outcome(Emulation(profile, random.Random(n)), {"seed": 7}, attempt)  # noqa: S311 - no secret
            for attempt in range(1, 20)
        ]
        for n in (1, 2)
    ]
    assert runs[0] == runs[1]
    assert {True, False} == set(runs[0])


async def test_the_result_is_the_payloads_or_shows_what_was_done() -> None:
    emulation = Emulation(AT_ONCE, random.Random(1))  # noqa: S311 - no secret
    assert await emulation(a_context({})) == {"emulated": True, "delay_s": 0}
    assert await emulation(a_context({"result": [1, None]})) == [1, None]
    assert await emulation(a_context({"result": None})) is None


async def test_an_emulated_failure_names_itself() -> None:
    emulation = Emulation(AT_ONCE, random.Random(1))  # noqa: S311 - no secret
    with pytest.raises(EmulatedFailure, match="emulated"):
        await emulation(a_context({"failure_probability": 1}))
