"""Dramatiq: its own command line, eight threads a process, its default middleware, prefetch and durable queue."""

from pathlib import Path

import dramatiq
from dramatiq import cli
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peers import given

_THREADS = 8


class Ready(dramatiq.Middleware):  # type: ignore[misc] # it is not there for mypy
    """Tells when a worker's threads run."""

    def after_worker_boot(self, broker: object, worker: object) -> None:  # noqa: ARG002 - its signature
        given.tell_ready()


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


def work(processes: int, batch: int) -> None:  # noqa: ARG001 - it has no batches
    arguments = [f"{__name__}:broker", "--processes", str(processes), "--threads", str(_THREADS)]
    cli.main(cli.make_argument_parser().parse_args(arguments))
