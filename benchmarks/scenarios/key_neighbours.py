"""How a client with an API key is affected by one with another key that sends too much, and names too much.

Both are limited, by rate and by quota. As in `neighbours`, the same client is measured undisturbed just before and
just after each attack, and attackers have an address of their own and a low priority.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from benchmarks.attacks.with_key import ATTACKS, QUEUE, AttackWithKey
from benchmarks.disturbance import Seen, figures_between, normal, undisturbed
from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab, Scale
from benchmarks.load import LoadFailed
from benchmarks.process_tree import memory_mb
from benchmarks.programs import Program, running
from taskmill.domain.api_keys import ApiKeyDraft
from taskmill.domain.grants import Grant
from taskmill.operations import api_keys
from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database

TITLE = (
    "a client with an API key, undisturbed and while one with another key sends and names too much"
)

_START_S, _STEP_S, _BACK_S = 180.0, 1.0, 30.0
_MEMORY_MB = 50
# As who shares a service among programs sets them: with the defaults the attack would not reach the limit.
_LIMITS = {"TASKMILL_RATE_LIMITS__KEY_RATE": "200", "TASKMILL_RATE_LIMITS__KEY_BURST": "400"}
_OWN: Final = ("tasks:create queue=default", "tasks:read queue=default")
_GREEDY: Final = (f"tasks:create queue={QUEUE}", f"tasks:read queue={QUEUE}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The texts of the two keys."""

    own: str
    greedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacked:
    """The client while an attack was under way and around it, and by how many MB memory grew and stayed so."""

    during: Seen
    around: Seen
    growth_mb: float


async def run(lab: Lab) -> list[Figure]:
    count = lab.rounds if lab.scale is Scale.FULL else 1
    rounds = [await _round(lab) for _ in range(count)]
    return [figure for name in ATTACKS for figure in _figures_of(name, [r[name] for r in rounds])]


async def _round(lab: Lab) -> dict[str, Attacked]:
    data = lab.folder / "up"
    shutil.rmtree(data, ignore_errors=True)
    up = running(
        "up",
        ["-m", "taskmill", "up", "--port", "0", "--data", str(data), "--broker", "rabbitmq"],
        folder=lab.folder,
        environment={"TASKMILL_AUTH": "required", **_LIMITS},
        start_s=_START_S,
    )
    async with up as program:
        facts = json.loads((lab.folder / "up.ready").read_text())
        keys = await _made_keys(facts["database_url"])
        await normal(lab, str(program.url), 1.0, api_key=keys.own)
        return {
            name: await _attacked(lab, program, keys, name, attack)
            for name, attack in ATTACKS.items()
        }


async def _made_keys(url: str) -> Keys:
    database = Database(url, DatabaseSettings())
    try:
        own, greedy = [
            await api_keys.create(
                database,
                ApiKeyDraft(name=name, grants=tuple(map(Grant.parse, grants))),
                environment="test",
            )
            for name, grants in (("normal", _OWN), ("greedy", _GREEDY))
        ]
    finally:
        await database.close()
    return Keys(own=own.text, greedy=greedy.text)


async def _attacked(
    lab: Lab, program: Program, keys: Keys, name: str, attack: AttackWithKey
) -> Attacked:
    url = str(program.url)
    calm_s = lab.pick(quick=1.0, short=2.0, full=3.0)
    before = await undisturbed(lab, url, calm_s, api_key=keys.own)
    before_mb = _memory_mb(program)
    during = await _during(lab, url, keys, name, attack)
    after = await undisturbed(lab, url, calm_s, api_key=keys.own)
    growth_mb = await _growth_mb(lab, program, keys, before_mb)
    print(
        f"    undisturbed before: {before}; after: {after}; memory grew by {growth_mb:.0f} MB",
        flush=True,
    )
    return Attacked(during=during, around=before + after, growth_mb=growth_mb)


async def _during(lab: Lab, url: str, keys: Keys, name: str, attack: AttackWithKey) -> Seen:
    """Measure the client until all requests of the attack are sent."""
    done = lab.result_file("attack")
    requests = attack.requests // lab.pick(quick=10, short=1, full=1)
    attacking = lab.script(
        "benchmarks.attacks.with_key",
        *(name, "--url", url, "--requests", str(requests), "--done", str(done)),
        environment={"CLIENT_API_KEY": keys.greedy},
    )
    seen, began = Seen(), monotonic()
    async with attacking:
        while not done.exists():
            seen += await normal(lab, url, _STEP_S, api_key=keys.own)
    statuses = json.loads(done.read_text())
    if missing := attack.must_see - statuses.keys():
        raise LoadFailed(f"{name} did not work as an attack: no {missing}, but {statuses}")
    print(f"  {name}: {seen}; {statuses} in {monotonic() - began:.0f} s", flush=True)
    return seen


async def _growth_mb(lab: Lab, program: Program, keys: Keys, before_mb: float) -> float:
    """Return how much memory stays in use, once little does or half a minute after."""
    began = monotonic()
    while (
        growth := _memory_mb(program) - before_mb
    ) > _MEMORY_MB and monotonic() - began < _BACK_S:
        await normal(lab, str(program.url), _STEP_S, api_key=keys.own)
    return max(growth, 0.0)


def _memory_mb(program: Program) -> float:
    """The memory of the process that serves the API."""
    return memory_mb(program.pid)["API, maintenance"]


def _figures_of(name: str, rounds: Sequence[Attacked]) -> list[Figure]:
    return [
        *figures_between(name, [one.during for one in rounds], [one.around for one in rounds]),
        Figure(
            name=f"{name}: memory growth",
            unit="MB",
            ours=[one.growth_mb for one in rounds],
            target=at_most(_MEMORY_MB),
        ),
    ]
