"""The commands for API keys. They talk to the database: the first key can't be made over HTTP."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import click

from taskmill.cli import show
from taskmill.cli.addresses import data_option, database_url_option, owner_settings_of
from taskmill.cli.key_parameters import (
    GrantParam,
    KnownKey,
    Lifetime,
    NetworkParam,
    NewName,
    QuotaParam,
)
from taskmill.cli.output import Columns, Lines, Output
from taskmill.cli.server import json_option, with_options
from taskmill.composition.one_shot import on_api_keys
from taskmill.domain.api_key_errors import ApiKeyNotFound
from taskmill.domain.api_keys import ApiKeyDraft, KeyState, Network
from taskmill.domain.grants import Grant
from taskmill.domain.quotas import QuotaLimit
from taskmill.embedded.private_files import write_private
from taskmill.observability import logs
from taskmill.operations import api_keys
from taskmill.operations.api_keys import NewApiKey
from taskmill.runtime.clock import SystemClock
from taskmill.settings import Settings
from taskmill.storage.api_keys import all_keys
from taskmill.wire.api_keys import ApiKeyView

_EPILOG = """\b
Examples:
  taskmill key create billing --grant "tasks:create queue=billing.*" --grant "tasks:read queue=billing.*"
  taskmill key create mailer --grant "worker queue=mail type=send-*" --network 10.0.0.0/8 --expires 90d
  taskmill key list
  taskmill key rotate billing --overlap 2h --output billing.key
  taskmill key revoke billing
"""
_CREATE_EPILOG = """\b
Scopes, and what each can be limited to:
  tasks:create         queue= and type=   create tasks
  tasks:read           queue=             read and list tasks, their history and logs
  tasks:read-secret    queue=             see the secret values of their payloads
  tasks:operate        queue=             cancel, retry, reschedule tasks, pause queues
  worker               queue= and type=   pull tasks over HTTP, and end them
  types                                   register and drop contracts of types
  webhooks             queue=             subscribe endpoints
  metrics                                 read /metrics
  outbound             host=              name hosts to which requests are sent
  admin                                   everything
\b
A limit is a list of names and patterns: queue=mail,billing.* or host=*.example.org. Without one, the
scope is for all.
"""
_database_options = with_options(database_url_option, data_option)
_output_option = click.option(
    "--output",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the key to this file, which only you can read, instead of standard output.",
)


@click.group(epilog=_EPILOG)
def key() -> None:
    """Make, list, rotate and revoke API keys.

    They are in the database: that of the `taskmill up` that runs here, or the one given by
    --database-url or TASKMILL_DATABASE_URL, with the login that migrates. A key is printed once; only a
    hash of its secret is stored.
    """


@key.command(epilog=_CREATE_EPILOG)
@click.argument("name", type=NewName())
@click.option(
    "--grant",
    "grants",
    type=GrantParam(),
    multiple=True,
    required=True,
    help="What it may do: a scope, or one with limits. May be given several times.",
)
@click.option("--description", metavar="TEXT", help="For people to read.")
@click.option(
    "--network",
    "networks",
    type=NetworkParam(),
    multiple=True,
    help="Accept it only from this network. May be given several times.",
)
@click.option(
    "--quota",
    "quotas",
    type=QuotaParam(),
    multiple=True,
    help="How much it may have, instead of the settings, such as queues=50; 0: any number. May be given several "
    "times, for queues, types, webhooks, streams, schedules, waiting_tasks and waiting_kib.",
)
@click.option("--expires", "lifetime", type=Lifetime(), help="How long it is valid, such as 90d.")
@_output_option
@_database_options
def create(
    *,
    name: str,
    grants: tuple[Grant, ...],
    description: str | None,
    networks: tuple[Network, ...],
    quotas: tuple[QuotaLimit, ...],
    lifetime: timedelta | None,
    file: Path | None,
    database_url: str | None,
    data: Path | None,
) -> None:
    """Make an API key and print it, this once."""
    settings = _settings(data, database_url)
    draft = ApiKeyDraft(
        name=name,
        grants=grants,
        description=description,
        networks=networks,
        quotas=quotas,
        lifetime=lifetime,
    )
    environment = settings.api_key_environment
    _hand_over(
        on_api_keys(settings, lambda db: api_keys.create(db, draft, environment=environment)), file
    )


@key.command("list")
@json_option
@_database_options
def list_(*, as_json: bool, database_url: str | None, data: Path | None) -> None:
    """List all API keys by name, also those that have ended. With --json, one a line."""
    Output(as_json).items(_views(_settings(data, database_url)), _COLUMNS)


@key.command("show")
@click.argument("wanted", type=KnownKey(), metavar="ID|NAME")
@json_option
@_database_options
def show_(*, wanted: str, as_json: bool, database_url: str | None, data: Path | None) -> None:
    """Show the API key with an ID, or all with a NAME; never a secret."""
    found = _views(_settings(data, database_url), wanted)
    if not found:
        raise ApiKeyNotFound(wanted)
    for view in found:
        Output(as_json).item(view, _lines)


@key.command()
@click.argument("name", type=KnownKey(), metavar="NAME")
@click.option(
    "--overlap",
    type=Lifetime(least=timedelta()),
    default="24h",
    show_default=True,
    help="How long the one before stays valid.",
)
@_output_option
@_database_options
def rotate(
    *,
    name: str,
    overlap: timedelta,
    file: Path | None,
    database_url: str | None,
    data: Path | None,
) -> None:
    """Make a second API key of a NAME, with the same rights; the one before ends after a while."""
    settings = _settings(data, database_url)
    rotated = partial(
        api_keys.rotate, name=name, environment=settings.api_key_environment, overlap=overlap
    )
    _hand_over(on_api_keys(settings, rotated), file)


@key.command()
@click.argument("wanted", type=KnownKey(), metavar="ID|NAME")
@_database_options
def revoke(*, wanted: str, database_url: str | None, data: Path | None) -> None:
    """Revoke the API key with an ID, or all with a NAME, for good."""
    revoked = on_api_keys(_settings(data, database_url), lambda db: api_keys.revoke(db, wanted))
    for one in revoked:
        show.line(f"revoked {one.id}", one.draft.name)
    if not revoked:
        show.note("it was revoked before")


def _settings(data: Path | None, database_url: str | None) -> Settings:
    logs.silence()
    return owner_settings_of(data, database_url)


def _views(settings: Settings, wanted: str | None = None) -> list[ApiKeyView]:
    now = SystemClock().now()
    return [
        ApiKeyView.of(one, now) for one in on_api_keys(settings, lambda db: all_keys(db, wanted))
    ]


def _hand_over(made: NewApiKey, file: Path | None) -> None:
    """Print the key, or write it to a file."""
    if file is None:
        click.echo(made.text)
    else:
        try:
            write_private(file, made.text + "\n")
        except OSError as error:
            raise click.ClickException(
                f"{file} can't be written ({error.strerror}): revoke {made.key.id}, which nobody has"
            ) from None
    expires = made.key.expires_at
    until = "is valid until it is revoked" if expires is None else f"expires {show.age(expires)}"
    where = "is not shown again" if file is None else f"is in {file} only"
    show.note(f"{made.key.id} {until}; the key {where}")


def _row(item: ApiKeyView) -> tuple[show.Cell, ...]:
    return (
        item.id,
        item.name,
        _state(item),
        "; ".join(item.grants),
        ",".join(item.networks) or "all",
        "" if item.expires_at is None else show.age(item.expires_at),
        "never" if item.last_used_at is None else show.age(item.last_used_at),
    )


_COLUMNS = Columns(
    headings=("ID", "NAME", "STATE", "GRANTS", "NETWORKS", "EXPIRES", "USED"),
    row=_row,
    cut="GRANTS",
    empty="no API keys: make one with `taskmill key create NAME --grant SCOPE`",
    dispensable=("NETWORKS", "EXPIRES"),
)


def _lines(found: ApiKeyView) -> Lines:
    yield show.strong(found.name), found.id
    if found.description:
        yield show.labelled("description", found.description)
    yield show.labelled("state", _state(found))
    for grant in found.grants:
        yield show.labelled("grant", grant)
    for quota in found.quotas:
        yield show.labelled("quota", quota)
    yield show.labelled("networks", ", ".join(found.networks) or "all")
    yield show.labelled("created", show.age(found.created_at))
    for label, moment in (("expires", found.expires_at), ("revoked", found.revoked_at)):
        if moment is not None:
            yield show.labelled(label, show.age(moment))
    yield show.labelled(
        "used", "never" if found.last_used_at is None else show.age(found.last_used_at)
    )


def _state(found: ApiKeyView) -> show.Cell:
    if found.state is KeyState.LIVE:
        return show.good("live")
    return show.dim(found.state)
