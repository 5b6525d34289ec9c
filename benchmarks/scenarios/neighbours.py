"""How hostile clients affect a normal one, while every role of `taskmill up` runs.

It is measured during each attack, and undisturbed just before and just after it, and the two are compared.
Attackers have an address of their own and a low priority, as if they were on a machine of their own. An attack
counts only if the server's responses show that it worked.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import httpx

from benchmarks.attacks import contracts, responses
from benchmarks.attacks.attack import Attack
from benchmarks.attacks.catalogue import attacks
from benchmarks.figures import Figure, at_most, percentile
from benchmarks.lab import Lab, Scale
from benchmarks.load import LoadFailed
from benchmarks.process_tree import used_s
from benchmarks.programs import Program, completed, running
from benchmarks.stored_tasks import store_tasks

TITLE = "a normal client of a whole `taskmill up`, undisturbed and while others attack it"

_MOST = 3
_START_S, _TIMEOUT_S = 180.0, 60.0
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


@dataclass(slots=True, kw_only=True)
class Round:
    """One round: undisturbed before the first attack and after the last; each attack with the time around it."""

    first: Seen
    last: Seen
    pairs: dict[str, tuple[Seen, Seen]]


async def run(lab: Lab) -> list[Figure]:
    # A round takes two minutes.
    count = lab.rounds if lab.scale is Scale.FULL else 1
    return figures_of([await _round(lab) for _ in range(count)])


async def _round(lab: Lab) -> Round:
    data = lab.folder / "up"
    shutil.rmtree(data, ignore_errors=True)
    up = running(
        "up",
        ["-m", "taskmill", "up", "--port", "0", "--data", str(data), "--broker", "rabbitmq"],
        folder=lab.folder,
        environment={},
        start_s=_START_S,
    )
    async with up as program:
        await _prepare(lab, str(program.url))
        return await _attacked(lab, program)


async def _prepare(lab: Lab, url: str) -> None:
    """Create what the attacks need, and warm up with the normal client."""
    facts = json.loads((lab.folder / "up.ready").read_text())
    await store_tasks(facts["database_url"], responses.SEARCHED_TASKS, is_all_ended=True)
    later = {"queue": responses.LARGE_QUEUE, "delay_s": 3600}
    large = [
        {"name": "large", "description": responses.LARGE_TEXT, **later}
    ] * responses.LARGE_TASKS
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as http:
        for kind, schema in contracts.contracts().items():
            response = await http.put(f"/types/{kind}", json={"payload_schema": schema})
            response.raise_for_status()
        response = await http.post("/tasks/batch", json=large)
        response.raise_for_status()
    await _normal(lab, url, 1.0)


async def _attacked(lab: Lab, program: Program) -> Round:
    url = str(program.url)
    undisturbed_s, attack_s = lab.pick(quick=(1.0, 1.0), short=(1.5, 4.0), full=(3.0, 6.0))
    first = before = await _undisturbed(lab, url, undisturbed_s)
    print(f"  undisturbed: {before}", flush=True)
    pairs = {}
    for name, attack in attacks().items():
        during = await _during(lab, program, name, attack, attack_s)
        after_s, after = monotonic(), await _undisturbed(lab, url, undisturbed_s)
        undisturbed_after_s = monotonic() - after_s - undisturbed_s
        pairs[name] = (during, before + after)
        print(f"    undisturbed again {undisturbed_after_s:.1f} s after: {after}", flush=True)
        before = after
    return Round(first=first, last=before, pairs=pairs)


async def _during(lab: Lab, program: Program, name: str, attack: Attack, seconds: float) -> Seen:
    done = lab.result_file("attack")
    attacking = lab.script(
        "benchmarks.attacks", name, "--url", str(program.url), "--done", str(done)
    )
    async with attacking:
        began, used = monotonic(), used_s(program.pid)
        seen = await _normal(lab, str(program.url), seconds)
        shares = _shares(used, used_s(program.pid), monotonic() - began)
    outcomes = json.loads(done.read_text())
    if missing := attack.must_see - outcomes.keys():
        raise LoadFailed(f"{name} did not work as an attack: no {missing}, but {outcomes}")
    print(f"  {name}: {seen}; {outcomes}; {shares}", flush=True)
    return seen


def _shares(before: Mapping[str, float], after: Mapping[str, float], seconds: float) -> str:
    used = Counter(after) - Counter(before)
    return ", ".join(f"{name} {part / seconds:.0%}" for name, part in used.most_common())


async def _undisturbed(lab: Lab, url: str, seconds: float) -> Seen:
    """Measure without an attack, once the effects of the one before have ended."""
    for _ in range(_UNDISTURBED_TRIES):
        soon = await _normal(lab, url, _UNDISTURBED_STEP_S)
        if not soon.failed and soon.ms(_SHARES[-1]) < _UNDISTURBED_MS:
            break
    seen = await _normal(lab, url, seconds)
    if seen.failed:
        raise LoadFailed(f"requests were refused while nobody attacked: {Counter(seen.failed)}")
    return seen


async def _normal(lab: Lab, url: str, seconds: float) -> Seen:
    done = lab.result_file("normal")
    await completed(
        "normal_client",
        [
            *("-m", "benchmarks.normal_client", "--url", url),
            *("--seconds", str(seconds), "--done", str(done)),
        ],
        folder=lab.folder,
        environment={},
        timeout_s=_TIMEOUT_S,
    )
    seen = Seen(**json.loads(done.read_text()))
    if not seen.response_ms:
        raise LoadFailed(f"no request succeeded: {Counter(seen.failed)}")
    return seen


def figures_of(rounds: Sequence[Round]) -> list[Figure]:
    """Return the figures against those of undisturbed times: of each attack, and of the time after all of them."""
    by_attack = [
        figure
        for name in rounds[0].pairs
        for figure in _figures_of(
            name, [one.pairs[name][0] for one in rounds], [one.pairs[name][1] for one in rounds]
        )
    ]
    left = _figures_of("after all", [one.last for one in rounds], [one.first for one in rounds])
    return [*by_attack, *left]


def _figures_of(name: str, seen: Sequence[Seen], undisturbed: Sequence[Seen]) -> list[Figure]:
    return [
        *(
            Figure(
                name=f"{name}: p{share}",
                unit="ms",
                ours=[one.ms(share) for one in seen],
                against="undisturbed",
                theirs=[one.ms(share) for one in undisturbed],
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
