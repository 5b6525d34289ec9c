"""`taskmill broker`: show the broker's queues, send all hints again, make definitions of its users."""

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
_DEFINITIONS_EPILOG = """\b
Example:
  TASKMILL_BROKER_USERS__INTAKE_PASSWORD=... taskmill broker definitions --output definitions.json
  rabbitmqctl import_definitions definitions.json
"""


@click.group()
def broker() -> None:
    """Show the broker's queues; send all hints again; make users with the least rights."""


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


@broker.command(epilog=_DEFINITIONS_EPILOG)
@click.option("--vhost", default="taskmill", show_default=True, help="Name of the virtual host.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; else the output.",
)
def definitions(*, vhost: str, output: Path | None) -> None:
    """Make RabbitMQ's definitions of users with the least rights.

    They have a virtual host, a user for each role and each producer that has a password in the settings
    (TASKMILL_BROKER_USERS__INTAKE_PASSWORD), and a limit above which RabbitMQ refuses creation messages.
    Passwords are in them as salted hashes. RabbitMQ loads the file at its start (load_definitions), or by
    rabbitmqctl import_definitions.
    """
    import json  # noqa: PLC0415 - only when it runs

    from taskmill import settings as configuration  # noqa: PLC0415 - only when it runs
    from taskmill.amqp import users  # noqa: PLC0415 - only when it runs

    passwords = configuration.load().broker_users.passwords()
    if not passwords:
        raise click.ClickException(
            "no user has a password: set TASKMILL_BROKER_USERS__INTAKE_PASSWORD and the others "
            "(taskmill settings broker_users)"
        )
    text = json.dumps(users.definitions(vhost, passwords), indent=2)
    if output is None:
        click.echo(text)
    else:
        output.write_text(f"{text}\n")


def _hint_queues(settings: Settings) -> list[str]:
    if settings.database_url is None:
        return []
    from taskmill.composition.one_shot import list_hint_queues  # noqa: PLC0415 - only when it runs

    return list_hint_queues(settings)
