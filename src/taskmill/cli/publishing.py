"""`taskmill queue publish`: creation messages from the shell to the broker."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from taskmill.cli.addresses import broker_url_option, data_option, settings_of
from taskmill.cli.numbers import Whole
from taskmill.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from taskmill.amqp.confirmed_publisher import SentMessage, Undelivered

_MOST_SHOWN = 10
_NO_INTAKE = """nothing was published: the broker has no queue {queue} yet;
it is made by the first `taskmill run intake` there"""

_EPILOG = """\b
Examples:
  taskmill queue publish tasks.ndjson
  echo '{"name": "first"}' | taskmill queue publish -
  taskmill queue publish --broker-url amqp://guest:guest@127.0.0.1/ tasks.json
"""


@click.command(epilog=_EPILOG)
@click.argument("file", type=click.File("rb"))
@broker_url_option
@data_option
@click.option(
    "--in-flight",
    type=Whole(1, 10_000),
    default=200,
    show_default=True,
    metavar="N",
    help="How many messages may wait for the broker's confirm at once.",
)
def publish(*, file: BinaryIO, broker_url: str | None, data: Path | None, in_flight: int) -> int:
    """Publish requests to create tasks: one JSON object, an array, or NDJSON; - is standard input.

    The input is read to its end and checked for JSON first. Each message is confirmed by the broker;
    whether its task can be created is up to the service (see `taskmill queue rejected`). A body's
    idempotency_key is the message's id, so the same file can be sent again. Exit status 1 when a
    message was not confirmed.
    """
    from taskmill.amqp import depths, names  # noqa: PLC0415 - only when it runs
    from taskmill.amqp.confirmed_publisher import ConfirmedPublisher  # noqa: PLC0415 - only when it runs
    from taskmill.cli.message_file import read_message_file  # noqa: PLC0415 - only when it runs
    from taskmill.observability import logs  # noqa: PLC0415 - only when it runs

    logs.silence()
    url = settings_of(data, "broker_url", broker_url=broker_url).require_broker_url()
    messages = read_message_file(file.read())

    async def deliver(delivered: Callable[[], None]) -> "list[Undelivered]":
        if not await depths.read_depths(url, [names.CREATE_QUEUE]):
            raise ConfigurationError(_NO_INTAKE.format(queue=names.CREATE_QUEUE))
        publisher = ConfirmedPublisher(
            url, exchange=names.EXCHANGE, routing_key=names.CREATE_KEY, in_flight=in_flight
        )
        return await publisher.deliver(messages, delivered=delivered)

    with _progress(len(messages)) as delivered:
        failures = asyncio.run(deliver(delivered))
    return _report(messages, failures)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show a bar on a terminal, nothing elsewhere."""
    from taskmill.cli import show  # noqa: PLC0415 - only when it runs

    with show.progress_bar() as progress:
        bar = progress.add_task("publishing", total=total)
        yield lambda: progress.advance(bar)


def _report(messages: "Sequence[SentMessage]", failures: "Sequence[Undelivered]") -> int:
    from taskmill.cli import show  # noqa: PLC0415 - only when it runs

    for failure in failures[:_MOST_SHOWN]:
        show.note(f"line {failure.number}: not confirmed: {failure.why}")
    if len(failures) > _MOST_SHOWN:
        show.note(f"… and {len(failures) - _MOST_SHOWN:,} more")
    confirmed = len(messages) - len(failures)
    summary = f"{confirmed:,} of {len(messages):,} messages confirmed"
    show.line(show.failure(summary) if failures else show.good(summary))
    return 1 if failures else 0
