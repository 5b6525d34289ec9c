"""200 clients follow the feed of one API process, each one queue of 20, during 1,000 changes a second.

A producer makes no-op tasks and one worker process runs them: three changes each. Meanwhile the same API process
serves probes, POST and GET in turn, with the clients and without them, and the two are compared.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.figures import Figure, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected
from benchmarks.producing import Producer, producing
from benchmarks.scenarios.noop_drain import NOOP
from taskmill.domain.task import TaskDraft

TITLE = "1,000 changes a second, 200 clients of GET /events on 20 queues"

_CLIENTS = 200
_QUEUES = 20
_CHANGES_A_TASK = 3
_CHANGES_PER_S = 1000
_TICK_S = 0.03
_PROBE_PAUSE_S = 0.01
_SETTLE_S = 2.0
_COUNTED = "SELECT coalesce(sum(cardinality(versions)), 0)::bigint FROM taskmill.change_batch"
# The share of the intended rate that must be reached for the figures to be valid.
_LEAST_SHARE = 0.9
_RESULT_TIMEOUT_S = 60.0


@dataclass
class Seen:
    """One measurement: probes in milliseconds, and the results of the clients."""

    post: list[float] = field(default_factory=list)
    get: list[float] = field(default_factory=list)
    events: int = 0
    delays: dict[str, float] = field(default_factory=dict)
    changes_per_s: float = 0.0
    cpu_share: float = 0.0


async def run(lab: Lab) -> list[Figure]:
    seconds = 5 if lab.is_short else 15
    seen: dict[str, list[Seen]] = {"with": [], "without": []}
    for number in range(lab.rounds):
        for side in lab.order(number, *seen):
            one = await _measure(lab, seconds, clients=_CLIENTS if side == "with" else 0)
            seen[side].append(one)
            print(f"  round {number + 1}: {side} clients: {_describe(one)}", flush=True)
    return _figures(seen["with"], seen["without"])


async def _measure(lab: Lab, seconds: int, *, clients: int) -> Seen:
    seen = Seen()
    async with (
        lab.database() as url,
        producing(url) as producer,
        connected(url) as connection,
        lab.taskmill("maintenance", url),
        lab.taskmill("worker", url),
        lab.taskmill("api", url, "--port", "0") as api,
        _following(lab, str(api.url), clients, seen) as begin,
        asyncio.TaskGroup() as group,
    ):
        stop = asyncio.Event()
        group.create_task(_produce(producer, stop))
        await asyncio.sleep(_SETTLE_S)
        begin.touch()
        began, before = time.monotonic(), await connection.fetchval(_COUNTED)
        cpu_before = api.cpu_s() or 0.0
        await _probe(str(api.url), seconds, seen)
        after = await connection.fetchval(_COUNTED)
        took_s = time.monotonic() - began
        seen.changes_per_s = (after - before) / took_s
        seen.cpu_share = ((api.cpu_s() or 0.0) - cpu_before) / took_s
        stop.set()
    _check(seen, clients, seconds)
    return seen


@asynccontextmanager
async def _following(lab: Lab, url: str, clients: int, seen: Seen) -> AsyncIterator[Path]:
    """Run the clients during the block; when the returned file exists, they note delays."""
    begin, done = lab.folder / "feed.begin", lab.result_file("feed")
    end = done.with_suffix(".end")
    for file in (begin, end):
        file.unlink(missing_ok=True)
    if not clients:
        yield begin
        return
    options = ("--url", url, "--clients", str(clients), "--queues", str(_QUEUES))
    files = ("--begin", str(begin), "--done", str(done))
    async with lab.script("benchmarks.feed_clients", *options, *files):
        yield begin
        end.touch()
        async with asyncio.timeout(_RESULT_TIMEOUT_S):
            while not done.exists():  # noqa: ASYNC110 - another process gets it done
                await asyncio.sleep(_TICK_S)
        result = json.loads(done.read_text())
        seen.events = result.pop("events")
        seen.delays = result


async def _produce(producer: Producer, stop: asyncio.Event) -> None:
    """Make tasks at an even rate, over all queues."""
    drafts = [
        TaskDraft(name="benchmark", payload=NOOP, queue=f"q{number}") for number in range(_QUEUES)
    ]
    rate = _CHANGES_PER_S / _CHANGES_A_TASK
    began, made = time.monotonic(), 0
    while not stop.is_set():
        due = int((time.monotonic() - began) * rate)
        if due > made:
            await producer.creation.create_all([drafts[n % _QUEUES] for n in range(made, due)])
            made = due
        await asyncio.sleep(_TICK_S)


async def _probe(url: str, seconds: int, seen: Seen) -> None:
    """Send one request at a time, POST and GET in turn."""
    ends_at = time.monotonic() + seconds
    # A queue of its own, which nobody follows.
    body = {"name": "probe", "queue": "probe", "payload": {"delay_s": 0}}
    async with httpx.AsyncClient(base_url=url, timeout=30) as http:
        while time.monotonic() < ends_at:
            began = time.monotonic()
            created = await http.post("/tasks", json=body)
            created_at = time.monotonic()
            read = await http.get(created.headers["location"])
            ended = time.monotonic()
            if (created.status_code, read.status_code) != (201, 200):
                raise LoadFailed(
                    f"the responses to a probe were {created.status_code}, {read.status_code}"
                )
            seen.post.append((created_at - began) * 1000)
            seen.get.append((ended - created_at) * 1000)
            await asyncio.sleep(_PROBE_PAUSE_S)


def _check(seen: Seen, clients: int, seconds: int) -> None:
    """Check that the intended changes were made, and reached the clients of their queues."""
    if seen.changes_per_s < _LEAST_SHARE * _CHANGES_PER_S:
        raise LoadFailed(f"only {seen.changes_per_s:.0f} changes a second were made")
    each = clients / _QUEUES
    least = _LEAST_SHARE * each * _CHANGES_PER_S * seconds * _LEAST_SHARE
    if seen.events < least:
        raise LoadFailed(f"the clients got {seen.events} events, less than {least:.0f}")


def _describe(seen: Seen) -> str:
    probes = f"POST p95 {percentile(seen.post, 0.95):.1f} ms, GET p95 {percentile(seen.get, 0.95):.1f} ms"
    delays = ", ".join(f"{name} {value:.0f} ms" for name, value in seen.delays.items())
    text = f"{seen.changes_per_s:.0f} changes/s, {probes}, {seen.cpu_share:.0%} of a core"
    return text + (f", delay {delays}" if delays else "")


def _figures(followed: list[Seen], alone: list[Seen]) -> list[Figure]:
    return [
        Figure(
            name="delay p95",
            unit="ms",
            ours=[one.delays["p95"] for one in followed],
            target=at_most(500),
        ),
        Figure(name="delay p50", unit="ms", ours=[one.delays["p50"] for one in followed]),
        Figure(name="delay p99", unit="ms", ours=[one.delays["p99"] for one in followed]),
        Figure(name="changes", unit="/s", ours=[one.changes_per_s for one in followed]),
        Figure(
            name="processor of the API",
            unit="%",
            ours=[100 * one.cpu_share for one in followed],
            against="without clients",
            theirs=[100 * one.cpu_share for one in alone],
        ),
        *(
            Figure(
                name=f"{name} p95",
                unit="ms",
                ours=[percentile(getattr(one, name.lower()), 0.95) for one in followed],
                against="without clients",
                theirs=[percentile(getattr(one, name.lower()), 0.95) for one in alone],
                target=at_most(1.5),
            )
            for name in ("POST", "GET")
        ),
    ]
