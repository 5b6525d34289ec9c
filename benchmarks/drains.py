"""The common parts of drains of no-op tasks: the sides of the peers, and the figures."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from statistics import median

from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab
from benchmarks.peers import queues
from benchmarks.peers.queues import Peer

Sides = dict[str, Callable[[], Awaitable[float]]]
Rates = Mapping[str, Sequence[float]]

_OURS = "Taskmill"


def peer_sides(
    lab: Lab, peer: Peer, tasks: int, processes: int, variants: Sequence[str] | None = None
) -> Sides:
    """Return what measures a peer's tasks a second, by title, for all of its variants or the given ones."""
    return {
        _title(peer, variant): partial(queues.drain, lab, peer, tasks, processes, variant)
        for variant in variants or peer.variants
    }


def drained(rates: Rates, processes: int, targets: Mapping[str, Target]) -> list[Figure]:
    """Return Taskmill's rates against those of every other side."""
    return [
        _figure(rates, processes, side, side, targets.get(side)) for side in rates if side != _OURS
    ]


def the_best(rates: Rates, peer: Peer, processes: int, target: Target) -> Figure:
    """Return Taskmill's rates against those of a peer's fastest variant."""
    variants = {_title(peer, variant): variant for variant in peer.variants}
    best = max(variants.keys() & rates.keys(), key=lambda side: median(rates[side]))
    against = f"the best {peer.title}: {variants[best]}"
    return _figure(rates, processes, best, against, target)


def _title(peer: Peer, variant: str) -> str:
    return f"{peer.title}, {variant}" if variant else peer.title


def _figure(rates: Rates, processes: int, side: str, against: str, target: Target | None) -> Figure:
    return Figure(
        name="drained, one worker" if processes == 1 else f"drained, {processes} workers",
        unit="tasks/s",
        ours=rates[_OURS],
        against=against,
        theirs=rates[side],
        target=target,
    )
