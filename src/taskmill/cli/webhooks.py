"""The commands for webhooks: subscribe an endpoint, list its deliveries, send them again."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import click

from taskmill.cli import show
from taskmill.cli.addresses import data_option, database_url_option, settings_of
from taskmill.cli.deliveries import LARGEST_PAGE, print_deliveries, print_delivery
from taskmill.cli.numbers import Whole
from taskmill.cli.server import json_option, open_client, quiet_option, url_option
from taskmill.client.errors import NotAccepted
from taskmill.client.webhooks import WebhookChanges, WebhookFields
from taskmill.domain.lifecycle import Status
from taskmill.domain.webhooks import DeliveryState, WebhookState
from taskmill.wire.webhooks import WebhookView

__all__ = ["webhook"]

_EPILOG = """\b
Examples:
  taskmill webhook create https://ops.example.org/hooks --queue reports --status failed
  taskmill webhook list
  taskmill webhook deliveries ID --state failed
  taskmill webhook resend ID 4712
  taskmill webhook callback-key
"""
_filters = (
    click.option("--queue", "queues", metavar="QUEUE", multiple=True, help="Only of this queue."),
    click.option("--type", "types", metavar="TYPE", multiple=True, help="Only of this type."),
    click.option(
        "--status",
        "statuses",
        type=click.Choice([status.value for status in Status]),
        multiple=True,
        help="Only changes to this.  [default: the three ends]",
    ),
    click.option("--description", metavar="TEXT", help="More for people to read."),
)


def _filter_options(command: Any) -> Any:  # noqa: ANN401 - click's decorators
    for option in reversed(_filters):
        command = option(command)
    return command


@click.group(epilog=_EPILOG)
def webhook() -> None:
    """Notify endpoints when tasks end, and see what was delivered."""


@webhook.command()
@click.argument("endpoint", metavar="URL")
@_filter_options
@click.option("--paused", is_flag=True, help="Keep its events until it is enabled.")
@click.option(
    "--secret-file", type=click.File("rb"), help="Sign with this secret; - is standard input."
)
@url_option
@json_option
def create(
    *,
    endpoint: str,
    paused: bool,
    secret_file: BinaryIO | None,
    url: str,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - the filters, checked by the service
) -> None:
    """Subscribe the endpoint at URL; prints its id and its secret, which is shown this once.

    Queues, types and statuses may be given several times; a change has to fit one of each that is given.
    """
    fields: WebhookFields = _given(given)  # type: ignore[assignment]  # names are the options above
    if paused:
        fields["state"] = "paused"
    if secret_file is not None:
        fields["secret"] = secret_file.read().decode(errors="replace").strip()
    with open_client(url) as client:
        made = client.create_webhook(endpoint, **fields)
    _print_secret(made, as_json=as_json)


@webhook.command("list")
@url_option
@json_option
@quiet_option
def list_(*, url: str, as_json: bool, quiet: bool) -> None:
    """List webhooks, the oldest first, with the state of their endpoints."""
    with open_client(url) as client:
        found = client.webhooks()
    if as_json:
        show.json_lines(item.model_dump_json().encode() for item in found)
    elif quiet:
        for item in found:
            show.line(str(item.id))
    elif found:
        headings = ("ID", "STATE", "URL", "QUEUES", "TYPES", "STATUSES")
        rows = [_row(item) for item in found]
        show.table(headings, rows, cut="URL", dispensable=("TYPES", "QUEUES"))
    else:
        show.note("no webhooks: make one with `taskmill webhook create URL`")


@webhook.command("show")
@click.argument("webhook_id", metavar="ID")
@url_option
@json_option
def show_(*, webhook_id: str, url: str, as_json: bool) -> None:
    """Show a webhook, and the state of its endpoint."""
    with open_client(url) as client:
        _print(client.webhook(webhook_id), as_json=as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@click.option("--to", metavar="URL", help="Another address, also for what is not delivered yet.")
@_filter_options
@click.option("--all-queues", is_flag=True, help="Of all queues again.")
@click.option("--all-types", is_flag=True, help="Of all types again.")
@url_option
@json_option
def change(
    *,
    webhook_id: str,
    to: str | None,
    all_queues: bool,
    all_types: bool,
    url: str,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - the filters, checked by the service
) -> None:
    """Change a webhook: what is given changes, the rest stays. A filter replaces the one before."""
    changes: WebhookChanges = _given({"url": to, **given})  # type: ignore[assignment]  # names are the options above
    if (all_queues and given["queues"]) or (all_types and given["types"]):
        raise click.UsageError("Give --all-queues or --queue, --all-types or --type, not both.")
    if all_queues:
        changes["queues"] = []
    if all_types:
        changes["types"] = []
    if not changes:
        raise click.UsageError("What is to change? See: taskmill webhook change --help")
    with open_client(url) as client:
        _print(client.change_webhook(webhook_id, **changes), as_json=as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@url_option
@json_option
def pause(*, webhook_id: str, url: str, as_json: bool) -> None:
    """Pause deliveries; events are stored meanwhile."""
    with open_client(url) as client:
        _print(client.change_webhook(webhook_id, state="paused"), as_json=as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@url_option
@json_option
def enable(*, webhook_id: str, url: str, as_json: bool) -> None:
    """Deliver again, after a pause or when it was disabled because its endpoint was gone."""
    with open_client(url) as client:
        _print(client.change_webhook(webhook_id, state="enabled"), as_json=as_json)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@url_option
@json_option
def rotate(*, webhook_id: str, url: str, as_json: bool) -> None:
    """Make a new secret, which is shown this once; the previous one keeps signing, too."""
    with open_client(url) as client:
        changed = client.change_webhook(webhook_id, rotate_secret=True)
    _print_secret(changed, as_json=as_json)


@webhook.command("callback-key")
@database_url_option
@data_option
def callback_key_(*, database_url: str | None, data: Path | None) -> None:
    """Print the key that callbacks are signed with, for those who receive them.

    It is made once, with the database's tables. Where TASKMILL_OUTBOUND__SIGNING_KEYS is set, callbacks
    are signed with the keys of that instead.
    """
    from taskmill.composition.one_shot import callback_key  # noqa: PLC0415 - only when it runs
    from taskmill.observability import logs  # noqa: PLC0415 - only when it runs

    logs.silence()
    settings = settings_of(data, "database_url", database_url=database_url)
    key = callback_key(settings)
    if key is None:
        raise click.ClickException("the database has no key for callbacks: it was deleted")
    show.line(key)
    if settings.outbound.signing_keys:
        show.note("not in use: callbacks are signed with TASKMILL_OUTBOUND__SIGNING_KEYS")


@webhook.command()
@click.argument("webhook_ids", metavar="ID...", nargs=-1, required=True)
@url_option
def delete(*, webhook_ids: tuple[str, ...], url: str) -> int:
    """Delete webhooks, with what was still to be delivered to them and their logs.

    Exit status 1 when one of them could not be.
    """
    exit_status = 0
    with open_client(url) as client:
        for webhook_id in webhook_ids:
            try:
                client.delete_webhook(webhook_id)
            except NotAccepted as error:
                click.echo(f"Error: {webhook_id}: {error}", err=True)
                exit_status = 1
    return exit_status


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@url_option
@json_option
def test(*, webhook_id: str, url: str, as_json: bool) -> None:
    """Send a test event, which is about no task; `deliveries` shows the outcome."""
    with open_client(url) as client:
        print_delivery(client.test_webhook(webhook_id), as_json=as_json)


@webhook.command("deliveries")
@click.argument("webhook_id", metavar="ID")
@click.option(
    "--state",
    type=click.Choice([state.value for state in DeliveryState]),
    multiple=True,
    help="May be given several times.",
)
@click.option(
    "--limit",
    type=Whole(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="How many at most.",
)
@click.option("--all", "show_all", is_flag=True, help="All of them; ends the limit.")
@url_option
@json_option
@quiet_option
def deliveries_(
    *,
    webhook_id: str,
    state: tuple[str, ...],
    limit: int,
    show_all: bool,
    url: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """List what is delivered to a webhook, newest first. With --json, one a line."""
    size = LARGEST_PAGE if show_all else min(limit, LARGEST_PAGE)
    with open_client(url) as client:
        found = client.deliveries(webhook_id, state=state, page_size=size)
        print_deliveries(islice(found, None if show_all else limit), as_json=as_json, quiet=quiet)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@click.argument("delivery_ids", metavar="DELIVERY...", type=int, nargs=-1, required=True)
@url_option
@json_option
def resend(*, webhook_id: str, delivery_ids: tuple[int, ...], url: str, as_json: bool) -> int:
    """Try deliveries again now, whatever their state. Exit status 1 when one could not be."""
    exit_status = 0
    with open_client(url) as client:
        for delivery_id in delivery_ids:
            try:
                print_delivery(client.resend_delivery(webhook_id, delivery_id), as_json=as_json)
            except NotAccepted as error:
                click.echo(f"Error: {delivery_id}: {error}", err=True)
                exit_status = 1
    return exit_status


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, ())}


def _print_secret(made: WebhookView, *, as_json: bool) -> None:
    if as_json:
        show.json_lines([made.model_dump_json().encode()])
        return
    show.line(str(made.id))
    show.line(made.secret)
    show.note("keep the secret: it is not shown again")
    if made.warning:
        show.note(f"warning: {made.warning}")


def _print(found: WebhookView, *, as_json: bool) -> None:
    if as_json:
        show.json_lines([found.model_dump_json().encode()])
        return
    for cells in _lines(found):
        show.line(*cells)


def _row(item: WebhookView) -> tuple[show.Cell, ...]:
    return (
        str(item.id),
        _state(item),
        item.url,
        ",".join(item.queues) or "all",
        ",".join(item.types) or "all",
        ",".join(item.statuses),
    )


def _lines(found: WebhookView) -> Iterator[tuple[show.Cell, ...]]:
    yield (show.strong(str(found.id)),)
    yield _labelled("url", found.url)
    if found.description:
        yield _labelled("description", found.description)
    if found.warning:
        yield _labelled("warning", show.warning(found.warning))
    yield _labelled("state", _state(found), found.disabled_reason or "")
    if found.failing_since is not None:
        yield _labelled("failing", show.failure(f"for {show.elapsed(found.failing_since)}"))
    yield _labelled("queues", ", ".join(found.queues) or "all")
    yield _labelled("types", ", ".join(found.types) or "all")
    yield _labelled("statuses", ", ".join(found.statuses))
    yield _labelled("created", show.age(found.created_at))


def _state(found: WebhookView) -> show.Cell:
    if found.state is WebhookState.DISABLED:
        return show.failure("disabled")
    if found.state is WebhookState.PAUSED:
        return show.warning("paused")
    return show.good("enabled") if found.failing_since is None else show.warning("failing")


def _labelled(label: str, *cells: show.Cell) -> tuple[show.Cell, ...]:
    return (show.dim(f"{label:<11}"), *cells)
