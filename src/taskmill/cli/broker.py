"""`taskmill broker`: show the broker's queues, and send all hints again."""

import asyncio
from pathlib import Path

import click

from taskmill.cli.addresses import (
    broker_url_option,
    data_option,
    database_url_option,
    settings_of,
)
from taskmill.settings import Settings

_STATUS_EPILOG = """\b
Examples:
  taskmill broker status
  taskmill broker status --broker-url amqp://guest:guest@127.0.0.1/ --json
"""


@click.group()
def broker() -> None:
    """Show the broker's queues; send all hints again."""


@broker.command()
@database_url_option
@data_option
def rebuild(*, database_url: str | None, data: Path | None) -> None:
    """Send hints about all tasks that are due.

    Harmless at any time: hints only make workers look for tasks. The relay does the same by itself when it
    connects to the broker, and every two seconds for tasks that stay due.
    """
    from taskmill.cli import show  # noqa: PLC0415 - only when it runs
    from taskmill.composition.one_shot import send_hints  # noqa: PLC0415 - only when it runs
    from taskmill.observability import logs  # noqa: PLC0415 - only when it runs

    logs.silence()
    send_hints(settings_of(data, "database_url", database_url=database_url))
    show.line("the relay sends hints about all tasks that are due")


@broker.command(epilog=_STATUS_EPILOG)
@broker_url_option
@database_url_option
@data_option
@click.option("--json", "as_json", is_flag=True, help="JSON for programs.")
def status(
    *, broker_url: str | None, database_url: str | None, data: Path | None, as_json: bool
) -> None:
    """Show the broker's queues: waiting messages, and consumers.

    The names of hint queues come from the database, where workers are listed; without one only the intake's queues
    are shown.
    """
    from taskmill.amqp import depths, names  # noqa: PLC0415 - only when it runs
    from taskmill.cli import show  # noqa: PLC0415 - only when it runs
    from taskmill.observability import logs  # noqa: PLC0415 - only when it runs

    logs.silence()
    settings = settings_of(data, "broker_url", broker_url=broker_url, database_url=database_url)
    wanted = [names.CREATE_QUEUE, names.REJECTED_QUEUE, *_hint_queues(settings)]
    found = asyncio.run(depths.read_depths(settings.require_broker_url(), wanted))
    if as_json:
        show.json_lines(
            {"queue": d.name, "messages": d.messages, "consumers": d.consumers} for d in found
        )
        return
    rows = [(d.name, f"{d.messages:,}", f"{d.consumers:,}") for d in found]
    show.table(
        ("QUEUE", "MESSAGES", "CONSUMERS"), rows, cut="QUEUE", numbers=("MESSAGES", "CONSUMERS")
    )
    if not any(d.name == names.CREATE_QUEUE for d in found):
        show.note(f"there is no {names.CREATE_QUEUE} yet: the intake makes it")


def _hint_queues(settings: Settings) -> list[str]:
    if settings.database_url is None:
        return []
    from taskmill.composition.one_shot import list_hint_queues  # noqa: PLC0415 - only when it runs

    return list_hint_queues(settings)
