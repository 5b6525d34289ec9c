"""Emulated work: a task that takes some time and sometimes fails, as its payload or the settings say."""

import math
import random
from asyncio import sleep
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskmill.app import Context


class EmulatedFailure(Exception):
    """The emulated work failed, as it does with the given probability."""


@dataclass(slots=True, kw_only=True)
class Profile:
    """How long emulated work takes (seconds, uniformly distributed), and its probability of failure (0 to 1)."""

    delay_min_s: float
    delay_max_s: float
    failure_probability: float

    def adjusted(self, payload: Mapping[str, Any]) -> "Profile":
        """Return the profile with the payload's values; invalid ones are ignored.

        Entry points validate the payload of `emulate` tasks. Other emulated types have payloads for their real
        handlers, which may use the same names for something else.
        """
        shortest, longest = self._delays(payload)
        fails = _number(payload, "failure_probability")
        return Profile(
            delay_min_s=shortest,
            delay_max_s=longest,
            failure_probability=self.failure_probability if fails is None else min(fails, 1.0),
        )

    def _delays(self, payload: Mapping[str, Any]) -> tuple[float, float]:
        """Return the range of delays; a given bound takes precedence over the profile's other one."""
        fixed = _number(payload, "delay_s")
        if fixed is not None:
            return fixed, fixed
        shortest, longest = _number(payload, "delay_min_s"), _number(payload, "delay_max_s")
        if shortest is None and longest is not None:
            return min(self.delay_min_s, longest), longest
        shortest = self.delay_min_s if shortest is None else shortest
        return shortest, max(self.delay_max_s if longest is None else longest, shortest)


def _number(payload: Mapping[str, Any], name: str) -> float | None:
    value = payload.get(name)
    if value is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


class Emulation:
    """The handler of type `emulate`, and of every type that is to be emulated."""

    def __init__(self, profile: Profile, randomness: random.Random) -> None:
        self._profile = profile
        self._randomness = randomness

    async def __call__(self, context: Context) -> object:
        """Sleep, then return the payload's `result`, or a description of what was done.

        With a `seed` in the payload, delay and outcome are the same each time that the same attempt runs. It logs
        its delay and how it ended, except for a success without delay.

        Raises:
            EmulatedFailure: with the profile's probability.
        """
        payload = context.payload
        profile = self._profile.adjusted(payload) if payload else self._profile
        randomness = self._randomness
        if "seed" in payload:
            randomness = random.Random(f"{payload['seed']}:{context.attempt}")  # noqa: S311 - no secret
        delay_s = randomness.uniform(profile.delay_min_s, profile.delay_max_s)
        fails = randomness.random() < profile.failure_probability
        if delay_s > 0:
            context.logger.info("emulation.began", delay_s=round(delay_s, 3))
            await sleep(delay_s)
        if fails:
            context.logger.warning(
                "emulation.failed", failure_probability=profile.failure_probability
            )
            raise EmulatedFailure(
                f"the emulated work failed, with a failure probability of {profile.failure_probability:g}"
            )
        if delay_s > 0:
            context.logger.info("emulation.succeeded", slept_s=round(delay_s, 3))
        return payload.get("result", {"emulated": True, "delay_s": round(delay_s, 3)})
