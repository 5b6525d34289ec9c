"""Celery: its defaults, and a larger prefetch, which its guide advises for short tasks; its pool is the variant.

By default tasks are acknowledged before they run, queues and messages are durable, and nothing below a warning is
logged. No results are stored, as no backend is set.
"""

import os
from pathlib import Path

from celery import Celery
from celery.signals import worker_ready

from benchmarks.peers import given

# Of a process, by the pool; 8 threads as Dramatiq has.
_AT_ONCE = {"prefork": 1, "threads": 8, "solo": 1}

app = Celery("benchmark", broker=given.URL)
# "Optimizing", of its guide: with many short tasks let the multiplier be large, 64 or 128.
app.conf.worker_prefetch_multiplier = 128
app.conf.task_ignore_result = True
begun = given.begun()


@app.task(name=given.NOOP)
def noop(number: int) -> None:
    begun.note(number)


def install() -> None:
    """Workers declare their queue."""


def enqueue(count: int) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(count):
            noop.apply_async((number,), producer=producer)


def pace(pauses: list[float], sent: Path) -> None:
    given.paced(noop.delay, pauses, sent)


@worker_ready.connect(weak=False)
def _report_ready(**_: object) -> None:
    given.report_ready()


def work(variant: str) -> None:
    # Workers that only share a queue need neither gossip nor mingle.
    alone = ("--without-gossip", "--without-mingle", "--hostname", f"worker-{os.getpid()}@%h")
    at_once = str(_AT_ONCE[variant])
    app.worker_main(["worker", "--pool", variant, "--concurrency", at_once, *alone])
