"""How hostile clients affect a normal one, while every role of `taskmill up` runs.

It is measured during each attack, and undisturbed just before and just after it, and the two are compared.
Attackers have an address of their own and a low priority, as if they were on a machine of their own. An attack
counts only if the server's responses show that it worked.
"""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import httpx

from benchmarks.attacks import contracts, responses
from benchmarks.attacks.attack import Attack
from benchmarks.attacks.catalogue import attacks
from benchmarks.disturbance import Seen, figures_between, normal, undisturbed
from benchmarks.figures import Figure
from benchmarks.lab import Lab, Scale
from benchmarks.load import LoadFailed
from benchmarks.process_tree import used_s
from benchmarks.programs import Program, running
from benchmarks.stored_tasks import store_tasks

TITLE = "a normal client of a whole `taskmill up`, undisturbed and while others attack it"

_START_S, _TIMEOUT_S = 180.0, 60.0


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
        # Once in its life, at the first list, an API imports for half a second: no attack can repeat that.
        response = await http.get("/tasks", params={"limit": 1})
        response.raise_for_status()
    await normal(lab, url, 1.0)


async def _attacked(lab: Lab, program: Program) -> Round:
    url = str(program.url)
    undisturbed_s, attack_s = lab.pick(quick=(1.0, 1.0), short=(1.5, 4.0), full=(3.0, 6.0))
    first = before = await undisturbed(lab, url, undisturbed_s)
    print(f"  undisturbed: {before}", flush=True)
    pairs = {}
    for name, attack in attacks().items():
        during = await _during(lab, program, name, attack, attack_s)
        after_s, after = monotonic(), await undisturbed(lab, url, undisturbed_s)
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
        seen = await normal(lab, str(program.url), seconds)
        shares = _shares(used, used_s(program.pid), monotonic() - began)
    outcomes = json.loads(done.read_text())
    if missing := attack.must_see - outcomes.keys():
        raise LoadFailed(f"{name} did not work as an attack: no {missing}, but {outcomes}")
    print(f"  {name}: {seen}; {outcomes}; {shares}", flush=True)
    return seen


def _shares(before: Mapping[str, float], after: Mapping[str, float], seconds: float) -> str:
    used = Counter(after) - Counter(before)
    return ", ".join(f"{name} {part / seconds:.0%}" for name, part in used.most_common())


def figures_of(rounds: Sequence[Round]) -> list[Figure]:
    """Return the figures against those of undisturbed times: of each attack, and of the time after all of them."""
    by_attack = [
        figure
        for name in rounds[0].pairs
        for figure in figures_between(
            name, [one.pairs[name][0] for one in rounds], [one.pairs[name][1] for one in rounds]
        )
    ]
    left = figures_between("after all", [one.last for one in rounds], [one.first for one in rounds])
    return [*by_attack, *left]
