"""Ten minutes at 2,000 tasks a second through a whole `taskmill up` over RabbitMQ, with a consumer of all changes.

Every role runs, as `up` starts it. The tasks come over REST, and do nothing; the consumer's queue is bound to
every change, three for each task. Shown is how late changes come in the first and in the last tenth of the time.
All must have come when it is over, and none twice. A short run has one minute.
"""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.figures import Figure, at_least, at_most, percentile
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.programs import ROOT
from benchmarks.timeline import Timeline, begin_and_end, series
from benchmarks.whole import Up, up_running

TITLE = "2,000 tasks a second through a whole `taskmill up`, and a consumer that is bound to all changes"

_RATE = 2000
_HELD_SHARE = 0.99
_MOST_DELAY_MS = 1000
_CHANGES_A_TASK = 3
_TICK_S, _REPORT_EVERY_S, _POLL_S = 0.05, 10.0, 0.2
_LEFT_TIMEOUT_S = 60.0
_NOOP = {"name": "noop", "payload": {"delay_s": 0, "failure_probability": 0}}
_WAITING = "SELECT count(*) FROM taskmill.dispatch"
_ENDED = "SELECT count(*) FROM taskmill.task WHERE finished_at IS NOT NULL"


async def run(lab: Lab) -> list[Figure]:
    seconds = lab.pick(quick=10, short=60, full=600)
    done = lab.result_file("changes")
    end = done.with_suffix(".end")
    end.unlink(missing_ok=True)
    async with (
        lab.broker(),
        lab.vhost() as amqp_url,
        up_running(lab, ROOT, broker_url=amqp_url) as up,
        lab.script("benchmarks.change_consumer", "--url", amqp_url, "--done", str(done)),
    ):
        before, began_at = await up.connection.fetchval(_ENDED), time.time()
        made = await _hold(up, seconds)
        took_s = time.time() - began_at
        ended = await up.connection.fetchval(_ENDED) - before
        end.write_text(str(made * _CHANGES_A_TASK))
        seen = await _result(done)
    if seen["messages"] != made * _CHANGES_A_TASK:
        raise LoadFailed(f"{seen['messages']} changes came of {made} tasks")
    delays = [(at - began_at, ms) for at, ms in seen["delays"] if at - began_at <= took_s]
    lab.series.append(series("delay of changes p95", delays, took_s))
    return _figures(delays, took_s, ended / took_s)


def _figures(delays: Timeline, seconds: float, rate: float) -> list[Figure]:
    begin, end = begin_and_end(delays, seconds)
    all_of_them = [ms for _, ms in delays]
    return [
        Figure(name="ended", unit="/s", ours=[rate], target=at_least(_RATE * _HELD_SHARE)),
        Figure(
            name="changes come after, p95 at the end",
            unit="ms",
            ours=[end],
            target=at_most(_MOST_DELAY_MS),
        ),
        Figure(name="the same at the begin", unit="ms", ours=[begin]),
        Figure(name="changes come after, p50", unit="ms", ours=[percentile(all_of_them, 0.5)]),
        Figure(name="changes come after, at most", unit="ms", ours=[max(all_of_them)]),
    ]


async def _hold(up: Up, seconds: float) -> int:
    """Create tasks at an even rate, and return how many; report progress now and then."""
    began = reported = time.monotonic()
    made = 0
    async with httpx.AsyncClient(base_url=str(up.program.url), timeout=60, trust_env=False) as http:
        while (now := time.monotonic()) < began + seconds:
            if due := int((now - began) * _RATE) - made:
                response = await http.post("/tasks/batch", json=[_NOOP] * due)
                response.raise_for_status()
                made += due
            if now - reported >= _REPORT_EVERY_S:
                reported = now
                waiting = await up.connection.fetchval(_WAITING)
                print(f"  {waiting:,} wait; {began + seconds - now:.0f} s", flush=True)
            await asyncio.sleep(_TICK_S)
    return made


async def _result(done: Path) -> dict[str, Any]:
    """Return what the consumer saw; LoadFailed when not all changes reached it in time."""
    try:
        async with asyncio.timeout(_LEFT_TIMEOUT_S):
            while not done.exists():  # noqa: ASYNC110, ASYNC240 - another process writes it
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise LoadFailed(f"not all changes came within {_LEFT_TIMEOUT_S:.0f} s") from None
    seen: dict[str, Any] = json.loads(done.read_text())  # noqa: ASYNC240 - nothing is measured any more
    return seen
