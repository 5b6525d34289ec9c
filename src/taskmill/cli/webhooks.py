"""The commands for webhooks: subscribe an endpoint, list its deliveries, send them again."""

from pathlib import Path
from typing import Any, BinaryIO

import click

from taskmill.cli import show
from taskmill.cli.addresses import data_option, database_url_option, settings_of
from taskmill.cli.deliveries import COLUMNS as DELIVERY_COLUMNS, delivery_lines
from taskmill.cli.output import Columns, Limit, Lines, Output
from taskmill.cli.server import for_each, given, limit_options, over_http, with_options
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.webhooks import WebhookView
from taskmill.client.webhooks import WebhookChanges, WebhookFields
from taskmill.domain.lifecycle import Status
from taskmill.domain.webhooks import DeliveryState, WebhookState

_EPILOG = """\b
Examples:
  taskmill webhook create https://ops.example.org/hooks --queue reports --status failed
  taskmill webhook list
  taskmill webhook deliveries ID --state failed
  taskmill webhook resend ID 4712
  taskmill webhook callback-key
"""
_filter_options = with_options(
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
@over_http()
def create(
    *,
    endpoint: str,
    paused: bool,
    secret_file: BinaryIO | None,
    client: TaskmillClient,
    output: Output,
    **filters: Any,  # noqa: ANN401 - the filters, checked by the service
) -> None:
    """Subscribe the endpoint at URL; prints its id and its secret, which is shown this once.

    Queues, types and statuses may be given several times; a change has to fit one of each that is given.
    """
    fields: WebhookFields = given(filters)  # type: ignore[assignment]  # names are the options above
    if paused:
        fields["state"] = "paused"
    if secret_file is not None:
        fields["secret"] = secret_file.read().decode(errors="replace").strip()
    _print_secret(client.create_webhook(endpoint, **fields), output)


@webhook.command("list")
@over_http(has_quiet=True)
def list_(*, client: TaskmillClient, output: Output) -> None:
    """List webhooks, the oldest first, with the state of their endpoints."""
    output.items(client.webhooks(), _COLUMNS)


@webhook.command("show")
@click.argument("webhook_id", metavar="ID")
@over_http()
def show_(*, webhook_id: str, client: TaskmillClient, output: Output) -> None:
    """Show a webhook, and the state of its endpoint."""
    output.item(client.webhook(webhook_id), _lines)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@click.option("--to", metavar="URL", help="Another address, also for what is not delivered yet.")
@_filter_options
@click.option("--all-queues", is_flag=True, help="Of all queues again.")
@click.option("--all-types", is_flag=True, help="Of all types again.")
@over_http()
def change(
    *,
    webhook_id: str,
    to: str | None,
    all_queues: bool,
    all_types: bool,
    client: TaskmillClient,
    output: Output,
    **filters: Any,  # noqa: ANN401 - the filters, checked by the service
) -> None:
    """Change a webhook: what is given changes, the rest stays. A filter replaces the one before."""
    changes: WebhookChanges = given({"url": to, **filters})  # type: ignore[assignment]  # names are the options above
    if (all_queues and filters["queues"]) or (all_types and filters["types"]):
        raise click.UsageError("Give --all-queues or --queue, --all-types or --type, not both.")
    if all_queues:
        changes["queues"] = []
    if all_types:
        changes["types"] = []
    if not changes:
        raise click.UsageError("What is to change? See: taskmill webhook change --help")
    output.item(client.change_webhook(webhook_id, **changes), _lines)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@over_http()
def pause(*, webhook_id: str, client: TaskmillClient, output: Output) -> None:
    """Pause deliveries; events are stored meanwhile."""
    output.item(client.change_webhook(webhook_id, state="paused"), _lines)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@over_http()
def enable(*, webhook_id: str, client: TaskmillClient, output: Output) -> None:
    """Deliver again, after a pause or when it was disabled because its endpoint was gone."""
    output.item(client.change_webhook(webhook_id, state="enabled"), _lines)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@over_http()
def rotate(*, webhook_id: str, client: TaskmillClient, output: Output) -> None:
    """Make a new secret, which is shown this once; the previous one keeps signing, too."""
    _print_secret(client.change_webhook(webhook_id, rotate_secret=True), output)


@webhook.command("callback-key")
@database_url_option
@data_option
def callback_key_(*, database_url: str | None, data: Path | None) -> None:
    """Print the key that callbacks are signed with, for those who receive them.

    It is made once, with the database's tables. Where TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS is set,
    callbacks are signed with the keys of that instead.
    """
    from taskmill.composition.one_shot import callback_key  # noqa: PLC0415 - only when it runs
    from taskmill.observability import logs  # noqa: PLC0415 - only when it runs

    logs.silence()
    settings = settings_of(data, "database_url", database_url=database_url)
    key = callback_key(settings)
    if key is None:
        raise click.ClickException("the database has no key for callbacks: it was deleted")
    show.line(key)
    if settings.outbound.callback_signing_keys:
        show.note("not in use: callbacks are signed with TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS")


@webhook.command()
@click.argument("webhook_ids", metavar="ID...", nargs=-1, required=True)
@over_http(has_json=False)
def delete(*, webhook_ids: tuple[str, ...], client: TaskmillClient) -> int:
    """Delete webhooks, with what was still to be delivered to them and their logs.

    Exit status 1 when one of them could not be.
    """
    return for_each(webhook_ids, client.delete_webhook)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@over_http()
def test(*, webhook_id: str, client: TaskmillClient, output: Output) -> None:
    """Send a test event, which is about no task; `deliveries` shows the outcome."""
    output.item(client.test_webhook(webhook_id), delivery_lines)


@webhook.command("deliveries")
@click.argument("webhook_id", metavar="ID")
@click.option(
    "--state",
    type=click.Choice([state.value for state in DeliveryState]),
    multiple=True,
    help="May be given several times.",
)
@limit_options
@over_http(has_quiet=True)
def deliveries_(
    *,
    webhook_id: str,
    state: tuple[str, ...],
    limit: Limit,
    client: TaskmillClient,
    output: Output,
) -> None:
    """List what is delivered to a webhook, newest first. With --json, one a line."""
    found = client.deliveries(webhook_id, state=state, page_size=limit.page_size)
    output.items(limit.of(found), DELIVERY_COLUMNS, in_pages=True)


@webhook.command()
@click.argument("webhook_id", metavar="ID")
@click.argument("delivery_ids", metavar="DELIVERY...", type=int, nargs=-1, required=True)
@over_http()
def resend(
    *, webhook_id: str, delivery_ids: tuple[int, ...], client: TaskmillClient, output: Output
) -> int:
    """Try deliveries again now, whatever their state. Exit status 1 when one could not be."""

    def resend_one(delivery_id: int) -> None:
        output.item(client.resend_delivery(webhook_id, delivery_id), delivery_lines)

    return for_each(delivery_ids, resend_one)


def _print_secret(made: WebhookView, output: Output) -> None:
    output.item(made, lambda made: [(str(made.id),), (made.secret,)])
    if output.as_json:
        return
    show.note("keep the secret: it is not shown again")
    if made.warning:
        show.note(f"warning: {made.warning}")


def _row(item: WebhookView) -> tuple[show.Cell, ...]:
    return (
        str(item.id),
        _state(item),
        item.url,
        show.few(item.queues) or "all",
        show.few(item.types) or "all",
        ",".join(item.statuses),
    )


_COLUMNS = Columns(
    headings=("ID", "STATE", "URL", "QUEUES", "TYPES", "STATUSES"),
    row=_row,
    cut="URL",
    empty="no webhooks: make one with `taskmill webhook create URL`",
    dispensable=("TYPES", "QUEUES", "STATUSES"),
)


def _lines(found: WebhookView) -> Lines:
    yield (show.strong(str(found.id)),)
    yield show.labelled("url", found.url)
    if found.description:
        yield show.labelled("description", found.description)
    if found.warning:
        yield show.labelled("warning", show.warning(found.warning))
    yield show.labelled("state", _state(found), found.disabled_reason or "")
    if found.failing_since is not None:
        yield show.labelled("failing", show.failure(f"for {show.elapsed(found.failing_since)}"))
    yield show.labelled("queues", ", ".join(found.queues) or "all")
    yield show.labelled("types", ", ".join(found.types) or "all")
    yield show.labelled("statuses", ", ".join(found.statuses))
    yield show.labelled("created", show.age(found.created_at))


def _state(found: WebhookView) -> show.Cell:
    if found.state is WebhookState.DISABLED:
        return show.failure("disabled")
    if found.state is WebhookState.PAUSED:
        return show.warning("paused")
    return show.good("enabled") if found.failing_since is None else show.warning("failing")
