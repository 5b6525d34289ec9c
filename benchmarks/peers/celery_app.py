"""Celery: prefork, its defaults, and what its guide advises for many short tasks (a larger prefetch).

By default tasks are acknowledged before they run, queues and messages are durable, and nothing below a warning is
logged. No results are kept, as no backend is set.
"""

from pathlib import Path

from celery import Celery
from celery.signals import worker_ready

from benchmarks.peers import given

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
def _tell_ready(**_: object) -> None:
    given.tell_ready()


def work(processes: int, batch: int) -> None:  # noqa: ARG001 - it has no batches
    # One worker by itself has nobody to gossip or mingle with.
    alone = ("--without-gossip", "--without-mingle")
    app.worker_main(["worker", "--pool", "prefork", "--concurrency", str(processes), *alone])
