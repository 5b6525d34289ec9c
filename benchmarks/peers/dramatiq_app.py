"""Dramatiq: its own command line, eight threads a process, its default middleware and durable queue.

A process fetches 128 messages ahead instead of 16, as with Celery; it ends as many (measured 2026-11-26).
"""

import os
from pathlib import Path

import dramatiq
from dramatiq import cli
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peers import given

_THREADS = 8
_PREFETCH = "128"


class Ready(dramatiq.Middleware):  # type: ignore[misc] # mypy does not see the package
    """Reports when a worker's threads run."""

    def after_worker_boot(self, broker: object, worker: object) -> None:  # noqa: ARG002 - its signature
        given.report_ready()


broker = RabbitmqBroker(url=given.URL)
broker.add_middleware(Ready())
dramatiq.set_broker(broker)
begun = given.begun()


@dramatiq.actor(actor_name=given.NOOP)
def noop(number: int) -> None:
    begun.note(number)


def install() -> None:
    """The broker declares the queue."""


def enqueue(count: int) -> None:
    for number in range(count):
        noop.send(number)


def pace(pauses: list[float], sent: Path) -> None:
    given.paced(noop.send, pauses, sent)


def work(variant: str) -> None:  # noqa: ARG001 - it has one
    # The process that it starts reads it.
    os.environ["dramatiq_queue_prefetch"] = _PREFETCH  # noqa: SIM112 - its name
    arguments = [f"{__name__}:broker", "--processes", "1", "--threads", str(_THREADS)]
    cli.main(cli.make_argument_parser().parse_args(arguments))
