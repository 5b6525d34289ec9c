"""The command `top`: live on a terminal, else one picture or one snapshot."""

import asyncio
import os
import sys
from shutil import get_terminal_size

import click
from rich.text import Text

from taskmill.cli import show
from taskmill.cli.numbers import Number
from taskmill.cli.server import json_option, url_option
from taskmill.cli.top.picture import Picture
from taskmill.cli.top.reading import Snapshot, as_json as fields_of
from taskmill.cli.top.rows import Pane
from taskmill.cli.top.summary import Options, notice_lines, summary, title
from taskmill.cli.top.tables import Table, table
from taskmill.client import calls
from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.domain.activity import Window
from taskmill.domain.extras import NotInstalled
from taskmill.settings.client_key import client_key

_PLAIN_SIZE = (120, 50)
_NARROWEST = 60
_NOTICES, _ROWS = 3, 20
_EPILOG = """\b
Examples:
  taskmill top
  taskmill top --url https://tasks.example.org --interval 5 --window 1h
  taskmill top --once >> top.log
  taskmill top --json | jq .notices
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--interval",
    type=Number(min=0.2, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to refresh. A slow service gets fewer requests.",
)
@click.option(
    "--window",
    type=click.Choice([window.value for window in Window]),
    default=Window.MINUTES_15.value,
    show_default=True,
    help="Time span of bars and percentiles.",
)
@click.option(
    "--once",
    is_flag=True,
    help="Print one picture as plain text, after one interval; the default without a terminal.",
)
@url_option
@json_option
def top(*, interval: float, window: str, once: bool, url: str, as_json: bool) -> int:
    """Show live what the service does: tasks, rates, queues, workers, failures, and what needs attention.

    What matters most comes first. It goes on when the service is away, and shows it again when it is back. ? lists
    the keys: they choose rows, open details, filter, and pause or resume a queue.
    """
    calls.address(url)
    options = Options(url=url, window=window, interval_s=interval)
    if as_json or once or not _is_terminal():
        asyncio.run(_print_once(options, as_json=as_json))
        return 0
    return _live(options)


def _is_terminal() -> bool:
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"  # noqa: TID251 - what the terminal calls itself
    # Textual draws on standard error.
    return not is_dumb and all(one.isatty() for one in (sys.stdin, sys.stdout, sys.stderr))


def _live(options: Options) -> int:
    try:
        # Imported here: it takes a third of the start, and need not be installed.
        from taskmill.cli.top.app import run  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "textual":
            raise
        raise NotInstalled("taskmill top without --once", extra="top", missing="textual") from None
    return asyncio.run(run(options))


async def _print_once(options: Options, *, as_json: bool) -> None:
    picture = Picture()
    async with AsyncTaskmillClient(
        options.url, retries=1, api_key=client_key(options.url)
    ) as client:
        if not as_json:  # a rate needs two snapshots
            await picture.read(client, options.window)
            await asyncio.sleep(options.interval_s)
        snapshot = await picture.read(client, options.window)
    if as_json:
        show.json_lines([fields_of(options.url, snapshot)])
        return
    # Printed text can be scrolled: only the width matters.
    width = max(get_terminal_size(_PLAIN_SIZE).columns, _NARROWEST)
    lines = [title(options, picture, width), *_body(picture, snapshot, width)]
    click.echo("\n".join(line.plain.rstrip() for line in lines).rstrip())


def _body(picture: Picture, snapshot: Snapshot, width: int) -> list[Text]:
    lines = summary(snapshot, picture.rates, width)
    lines += notice_lines(picture.notices, width, _NOTICES)
    for pane in Pane:
        content = Table(pane=pane, rows=picture.board.rows(pane), position=0, has_keys=False)
        lines += [Text(), *table(snapshot, content, width, 1 + _ROWS)]
    return lines
