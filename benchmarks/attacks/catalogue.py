"""All attacks, by name, in the order in which they run: those that leave much behind come last."""

from collections.abc import Callable, Mapping

from benchmarks.attacks import contracts, large, names, responses, unfinished
from benchmarks.attacks.attack import Attack

_GROUPS: tuple[Callable[[], Mapping[str, Attack]], ...] = (
    lambda: unfinished.ATTACKS,
    large.attacks,
    contracts.attacks,
    lambda: responses.ATTACKS,
    lambda: names.ATTACKS,
)


def attacks() -> dict[str, Attack]:
    """Return all attacks; some 65 MB are made for them."""
    return {name: attack for group in _GROUPS for name, attack in group().items()}
