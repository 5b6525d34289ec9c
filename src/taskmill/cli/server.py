"""What commands over HTTP share: their options, the client, and going through several ids."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeVar

import click

from taskmill.cli.numbers import Whole
from taskmill.cli.output import Limit, Output
from taskmill.client.errors import NotAccepted, Unreachable
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.domain.errors import TaskmillError
from taskmill.settings.client_key import client_key

DEFAULT_URL = "http://127.0.0.1:8000"
_UNREACHABLE = "Is it running (./taskmill up), and is this its address (--url or TASKMILL_URL)?"

Command = Callable[..., Any]
Id = TypeVar("Id")

url_option = click.option(
    "--url",
    envvar="TASKMILL_URL",
    show_envvar=True,
    default=DEFAULT_URL,
    show_default=True,
    help="Where the service is.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON for programs.")
_quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="Print ids only, or nothing if there are none."
)


def with_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds several options, in their order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def with_advice(error: TaskmillError) -> str:
    """Return an error in words, with what can be done about it on a line of its own."""
    return f"{error}\n{_UNREACHABLE}" if isinstance(error, Unreachable) else str(error)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given; for the others the service's defaults hold."""
    return {name: value for name, value in options.items() if value not in (None, ())}


def over_http(*, has_json: bool = True, has_quiet: bool = False) -> Callable[[Command], Command]:
    """Add ``--url``, ``--json`` and ``--quiet``; the command gets a `client`, and an `output` if it has any."""

    def add(command: Command) -> Command:
        @wraps(command)
        def run(*, url: str, as_json: bool = False, quiet: bool = False, **others: Any) -> Any:  # noqa: ANN401 - whatever the command takes and returns
            if has_json:
                others["output"] = Output(as_json, quiet)
            # It gives up soon: a person waits for it.
            with TaskmillClient(url, retries=1, api_key=client_key(url)) as client:
                return command(client=client, **others)

        outputs = (json_option, _quiet_option)[: has_json + has_quiet]
        return with_options(url_option, *outputs)(run)

    return add


def limit_options(command: Command) -> Command:
    """Add ``--limit`` and ``--all``; the command gets a `limit`."""

    @wraps(command)
    def run(*, limit: int, show_all: bool, **others: Any) -> Any:  # noqa: ANN401 - as above
        return command(limit=Limit(None if show_all else limit), **others)

    return with_options(
        click.option(
            "--limit",
            type=Whole(min=1),
            default=50,
            show_default=True,
            metavar="N",
            help="How many at most.",
        ),
        click.option("--all", "show_all", is_flag=True, help="All of them; ends the limit."),
    )(run)


def for_each(ids: Iterable[Id], action: Callable[[Id], object]) -> int:
    """Do it to each; a refusal is printed and does not stop the others. Returns the exit status."""
    exit_status = 0
    for one in ids:
        try:
            action(one)
        except NotAccepted as error:
            click.echo(f"Error: {one}: {error}", err=True)
            exit_status = 1
    return exit_status
