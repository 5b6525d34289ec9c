"""Randomness of which a seed repeats everything."""

import random


def seeded(*parts: object) -> random.Random:
    """Return the generator that these parts stand for."""
    return random.Random(" ".join(map(str, parts)))  # noqa: S311 - cases, not secrets
