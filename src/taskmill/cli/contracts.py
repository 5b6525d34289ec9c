"""The commands for types and their contracts: which payloads are accepted."""

import json
from collections.abc import Iterator
from typing import Any

import click

from taskmill.cli import show
from taskmill.cli.output import Columns, Output
from taskmill.cli.parameters import PayloadParam
from taskmill.cli.server import over_http
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.types import TypeSummaryView, TypeView

_EPILOG = """\b
Examples:
  taskmill type list
  taskmill type show send-email
  taskmill type register send-email @email.schema.json --defaults '{"queue": "mail"}'
  taskmill type register --app shop.tasks:app
"""


@click.group("type", epilog=_EPILOG)
def type_() -> None:
    """See which types have a contract; register one, or drop it."""


@type_.command("list")
@over_http(has_quiet=True)
def list_(*, client: TaskmillClient, output: Output) -> None:
    """List the types that have a contract, by name. With --json, one a line."""
    output.items(client.types(), _COLUMNS)


@type_.command("show")
@click.argument("name")
@over_http()
def show_(*, name: str, client: TaskmillClient, output: Output) -> None:
    """Show a type's contract: the schema that holds, its defaults, and the versions before."""
    output.item(client.get_type(name), _lines)


@type_.command()
@click.argument("name", required=False)
@click.argument("schema", type=PayloadParam(), required=False)
@click.option("--defaults", type=PayloadParam(), help="Values for tasks that do not set them.")
@click.option("--app", metavar="MODULE:NAME", help="Register all types of this app instead.")
@over_http()
def register(
    *,
    name: str | None,
    schema: dict[str, Any] | None,
    defaults: dict[str, Any] | None,
    app: str | None,
    client: TaskmillClient,
    output: Output,
) -> None:
    """Refuse payloads of type NAME that do not fit the JSON Schema; @- reads standard input.

    With --app it registers what the app's handlers declare, as the app's first worker would. As a step of a
    deployment it gives even the first tasks their handlers' policies.
    """
    if (app is None) == (name is None or schema is None) or (
        app and (name or defaults is not None)
    ):
        raise click.UsageError("name a type and its JSON Schema, or --app alone")
    wanted = [(name, schema, defaults)] if app is None else list(_contracts_of(app))
    for type_name, payload_schema, filled in wanted:
        found = client.register_type(type_name, payload_schema, filled)  # type: ignore[arg-type]  # checked by the service
        output.item(found, _lines)


def _contracts_of(app: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name, schema and defaults of each type of an app."""
    # Imported here: it is a worker's import, and slow for the other commands.
    from taskmill.app.loading import load_app  # noqa: PLC0415

    for contract in (made.contract() for made in load_app(app)):
        yield contract.type, json.loads(contract.schema), dict(contract.defaults)


@type_.command()
@click.argument("name")
@over_http(has_json=False)
def drop(*, name: str, client: TaskmillClient) -> None:
    """Drop a type's contract, until a worker that has one starts, or it is registered again."""
    client.drop_type(name)


def _row(item: TypeSummaryView) -> tuple[show.Cell, ...]:
    workers = str(item.workers) if item.workers else show.warning("0")
    changed = show.age(item.changed_at)
    defaults = show.fields(item.defaults)
    return (item.name, str(item.version), workers, changed, item.registered_by, defaults)


_COLUMNS = Columns(
    headings=("TYPE", "VERSION", "WORKERS", "CHANGED", "BY", "DEFAULTS"),
    row=_row,
    cut="DEFAULTS",
    empty="no type has a contract: a worker with an app registers those of its types",
    dispensable=("BY",),
    numbers=("VERSION", "WORKERS"),
    texts=("DEFAULTS",),
    key=lambda item: item.name,
)


def _lines(found: TypeView) -> Iterator[tuple[show.Cell, ...]]:
    yield show.strong(found.name), show.dim(f"version {found.version}")
    since = show.dim(f"by {found.registered_by}")
    yield show.labelled("holds since", show.age(found.changed_at), since)
    yield show.labelled("workers", str(found.workers) if found.workers else show.warning("none"))
    yield show.labelled("defaults", show.fields(found.defaults) or "none")
    for version in found.versions:
        if version.version != found.version:
            registered = f"{show.age(version.registered_at)}  by {version.registered_by}"
            yield show.labelled("version", str(version.version), show.dim(registered))
    for line in json.dumps(found.payload_schema, indent=2, ensure_ascii=False).splitlines():
        yield (line,)
