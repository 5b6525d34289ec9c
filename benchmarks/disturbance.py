"""Measures a normal client while others attack the same server, and undisturbed, and compares the two."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Figure, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.programs import completed

_MOST = 3
_TIMEOUT_S = 60.0
_UNDISTURBED_STEP_S, _UNDISTURBED_TRIES = 0.5, 40
# It is undisturbed when no request of a new client takes longer than this, which allows for a flush to disk.
_UNDISTURBED_MS = 50.0
_SHARES = (50, 95, 99)


@dataclass(slots=True, kw_only=True)
class Seen:
    """Results of the normal client: milliseconds of successful requests, and the outcomes of the others."""

    response_ms: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def ms(self, share: int) -> float:
        """Return a percentile of the successful requests; the others count as refused."""
        return percentile(self.response_ms, share / 100)

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(
            response_ms=self.response_ms + other.response_ms, failed=self.failed + other.failed
        )

    def __str__(self) -> str:
        shown = ", ".join(f"p{share} {self.ms(share):.1f}" for share in _SHARES)
        failed = f", REFUSED {Counter(self.failed)}" if self.failed else ""
        return f"{shown} ms of {len(self.response_ms)}{failed}"


async def undisturbed(lab: Lab, url: str, seconds: float, *, api_key: str = "") -> Seen:
    """Measure without an attack, once the effects of the one before have ended."""
    for _ in range(_UNDISTURBED_TRIES):
        soon = await normal(lab, url, _UNDISTURBED_STEP_S, api_key=api_key)
        if not soon.failed and soon.ms(_SHARES[-1]) < _UNDISTURBED_MS:
            break
    seen = await normal(lab, url, seconds, api_key=api_key)
    if seen.failed:
        raise LoadFailed(f"requests were refused while nobody attacked: {Counter(seen.failed)}")
    return seen


async def normal(lab: Lab, url: str, seconds: float, *, api_key: str = "") -> Seen:
    """Run such a client for some seconds, and return what it had."""
    done = lab.result_file("normal")
    await completed(
        "normal_client",
        [
            *("-m", "benchmarks.normal_client", "--url", url),
            *("--seconds", str(seconds), "--done", str(done)),
        ],
        folder=lab.folder,
        environment={"CLIENT_API_KEY": api_key},
        timeout_s=_TIMEOUT_S,
    )
    seen = Seen(**json.loads(done.read_text()))
    if not seen.response_ms:
        raise LoadFailed(f"no request succeeded: {Counter(seen.failed)}")
    return seen


def figures_between(name: str, seen: Sequence[Seen], calm: Sequence[Seen]) -> list[Figure]:
    """Return the figures of a client against those of undisturbed times, a pair for each round."""
    return [
        *(
            Figure(
                name=f"{name}: p{share}",
                unit="ms",
                ours=[one.ms(share) for one in seen],
                against="undisturbed",
                theirs=[one.ms(share) for one in calm],
                target=at_most(_MOST) if share == 95 else None,  # noqa: PLR2004 - the 95th
            )
            for share in _SHARES
        ),
        Figure(
            name=f"{name}: refused",
            unit="requests",
            ours=[len(one.failed) for one in seen],
            target=at_most(0),
        ),
    ]
