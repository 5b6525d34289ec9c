"""How soon a worker starts a task: the time to the handler's first line, from the 201, and from the call's start.

The 201 comes after the commit. At the end of a peer's call a job is committed in PostgreSQL, but a message may
still be on its way to the broker. So both ends of the call are noted: the time from its end is what a client waits
after the response, and the time from its start compares sides. Taskmill's call is a request to its API; the peers
write to PostgreSQL or RabbitMQ themselves.

Tasks come one by one after random pauses: none waits for another, and none is in step with a poll. All times are
noted by the processes themselves, by this machine's clock. A task that starts before its 201 was read has a
negative time from there.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import orjson

from benchmarks.figures import Figure, Target, percentile
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected
from benchmarks.peers import queues
from benchmarks.peers.marks import Marks
from benchmarks.producing import Producer, producing
from benchmarks.programs import completed
from benchmarks.rounds import interleaved
from taskmill.domain.task import TaskDraft

_PAUSES_S = (0.01, 0.05)
_SETTLE_S = 1.0
_TIMEOUT_S = 120.0
# The first ones make queues, connections and plans, and do not count.
_FIRST = 10
_NOOP = TaskDraft(name="load", payload='{"delay_s": 0, "failure_probability": 0}')
_ENDED = "SELECT count(*) FROM taskmill.current_task WHERE status = 'succeeded'"
_WAITING = "SELECT count(*) FROM taskmill.dispatch"
_MOST_WAITING = 2000
_CALIBRATED_S = 3.0
_TICK_S = 0.01
_AT_ONCE = 500
# The share of the intended load that must have ended for the figures to be valid.
_LEAST_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Milliseconds until the handler started: from the start of the call that sent the task, and from its end."""

    from_begin: Sequence[float]
    from_end: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Taskmill on a database of its own, and the marks of its probes."""

    database_url: str
    api_url: str
    begun: Marks


async def of_taskmill(lab: Lab, count: int, *, is_over_broker: bool, rate: float = 0) -> Latencies:
    """Return how soon the handler started, while `rate` other tasks a second come and go."""
    async with _stack(lab, count + _FIRST, is_over_broker=is_over_broker) as stack:
        async with (
            producing(stack.database_url) as producer,
            connected(stack.database_url) as observer,
        ):
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(_offer(producer, rate, stop))
                await asyncio.sleep(_SETTLE_S)
                began, before = time.monotonic(), await observer.fetchval(_ENDED)
                sent = await _probe(lab, stack.api_url, count + _FIRST)
                ended = await observer.fetchval(_ENDED) - before
                took_s = time.monotonic() - began
                stop.set()
            if ended < _LEAST_SHARE * rate * took_s:
                raise LoadFailed(f"of {rate:,.0f} tasks/s {ended / took_s:,.0f} were ended")
        return _latencies(sent, await stack.begun.until_full(timeout_s=_TIMEOUT_S))


async def at_half_load(lab: Lab, count: int, *, is_over_broker: bool) -> list[Latencies]:
    """Measure what is possible, then the latencies at half of that; a short run has one round of it."""
    half = await capacity(lab, is_over_broker=is_over_broker) / 2
    print(f"  half load is {half:,.0f} tasks/s", flush=True)
    measure = partial(of_taskmill, lab, count, is_over_broker=is_over_broker, rate=half)
    rounds = 1 if lab.is_short else None
    measured = await interleaved(lab, {"half load": measure}, describe=describe, rounds=rounds)
    return measured["half load"]


async def capacity(lab: Lab, *, is_over_broker: bool) -> float:
    """Return how many no-op tasks a second are created and ended while some always wait."""
    async with (
        _stack(lab, 1, is_over_broker=is_over_broker) as stack,
        producing(stack.database_url) as producer,
        connected(stack.database_url) as observer,
    ):
        await producer.creation.create_all([_NOOP] * _FIRST)
        await asyncio.sleep(_SETTLE_S)
        began, before = time.monotonic(), await observer.fetchval(_ENDED)
        while time.monotonic() < began + _CALIBRATED_S:
            if await observer.fetchval(_WAITING) < _MOST_WAITING:
                await producer.creation.create_all([_NOOP] * _AT_ONCE)
            else:
                await asyncio.sleep(_TICK_S)
        ended: int = await observer.fetchval(_ENDED) - before
        return ended / (time.monotonic() - began)


async def of_peer(lab: Lab, peer: queues.Peer, count: int, variant: str = "") -> Latencies:
    """Return how soon a peer's task started."""
    async with (
        queues.queue_of(lab, peer, count + _FIRST) as (_, queue),
        queue.worker(variant=variant),
    ):
        await asyncio.sleep(_SETTLE_S)
        sent = await queue.pace(_pauses(count + _FIRST))
        return _latencies(sent, await queue.begun.until_full(timeout_s=_TIMEOUT_S))


def describe(measured: Latencies) -> str:
    end, begin = (
        f"p50 {percentile(times, 0.5):.2f} ms, p99 {percentile(times, 0.99):.2f} ms"
        for times in (measured.from_end, measured.from_begin)
    )
    return f"{end}; from the call's begin {begin}"


def figures(
    load: str,
    ours: Sequence[Latencies],
    *,
    against: str = "",
    theirs: Sequence[Latencies] = (),
    p50: Target | None = None,
    p99: Target | None = None,
) -> list[Figure]:
    """Return the median and the 99th percentile of rounds: from the end of the call, and from its start."""
    ends = [[round_.from_end for round_ in rounds] for rounds in (ours, theirs)]
    begins = [[round_.from_begin for round_ in rounds] for rounds in (ours, theirs)]
    wanted = (
        (f"p50, {load}", 0.5, ends, p50),
        (f"p99, {load}", 0.99, ends, p99),
        (f"p50 from the call's begin, {load}", 0.5, begins, None),
        (f"p99 from the call's begin, {load}", 0.99, begins, None),
    )
    return [
        Figure(
            name=name,
            unit="ms",
            ours=[percentile(times, share) for times in own],
            against=against,
            theirs=[percentile(times, share) for times in others],
            target=target,
        )
        for name, share, (own, others), target in wanted
    ]


@asynccontextmanager
async def _stack(lab: Lab, count: int, *, is_over_broker: bool) -> AsyncIterator[Stack]:
    """Run what `taskmill up` runs, with or without a broker."""
    begun = Marks.make(lab.folder / "begun.marks", count)
    notes = {"PEER_BEGUN": str(begun.path)}
    async with AsyncExitStack() as parts:
        url = await parts.enter_async_context(lab.database())
        amqp_url = await parts.enter_async_context(lab.vhost()) if is_over_broker else None
        api = await parts.enter_async_context(
            lab.taskmill("api", url, "maintenance", "--port", "0", broker_url=amqp_url)
        )
        if is_over_broker:
            await parts.enter_async_context(
                lab.taskmill("relay", url, "intake", broker_url=amqp_url)
            )
        app = ("--app", "benchmarks.noop_app:app")
        await parts.enter_async_context(
            lab.taskmill("worker", url, *app, broker_url=amqp_url, environment=notes)
        )
        yield Stack(database_url=url, api_url=str(api.url), begun=begun)


async def _offer(producer: Producer, rate: float, stop: asyncio.Event) -> None:
    """Create tasks at an even rate until `stop` is set."""
    began, made = time.monotonic(), 0
    while rate and not stop.is_set():
        due = int((time.monotonic() - began) * rate)
        if due > made:
            await producer.creation.create_all([_NOOP] * (due - made))
            made = due
        await asyncio.sleep(_TICK_S)


async def _probe(lab: Lab, api_url: str, count: int) -> Marks:
    pauses = lab.folder / "pauses.json"
    pauses.write_bytes(orjson.dumps(_pauses(count)))
    sent = Marks.make(lab.folder / "sent.marks", 2 * count)
    options = ("--url", api_url, "--pauses", str(pauses), "--sent", str(sent.path))
    await completed(
        "prober",
        ["-m", "benchmarks.prober", *options],
        folder=lab.folder,
        environment={},
        timeout_s=_TIMEOUT_S,
    )
    return sent


def _pauses(count: int) -> list[float]:
    return [random.uniform(*_PAUSES_S) for _ in range(count)]  # noqa: S311 - pauses


def _latencies(sent: Marks, begun: Sequence[float]) -> Latencies:
    def until_begun(times: Sequence[float]) -> list[float]:
        pairs = zip(times[_FIRST:], begun[_FIRST:], strict=True)
        return [(began - noted_at) * 1000 for noted_at, began in pairs]

    noted = sent.times()
    return Latencies(from_begin=until_begun(noted[0::2]), from_end=until_begun(noted[1::2]))
