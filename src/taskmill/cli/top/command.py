"""The command `top`: live on a terminal, else one picture or one snapshot."""

import asyncio
import os
import sys
from dataclasses import asdict
from shutil import get_terminal_size

import click

from taskmill.cli import show
from taskmill.cli.numbers import Number
from taskmill.cli.server import json_option, url_option
from taskmill.cli.top.frame import Picture, frame
from taskmill.cli.top.notices import notices
from taskmill.cli.top.rates import Rates
from taskmill.cli.top.reading import Failures, as_json as fields_of, read
from taskmill.cli.top.rows import board
from taskmill.cli.top.view import View
from taskmill.client import calls
from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.domain.activity import Window

__all__ = ["top"]

_PLAIN_SIZE = (120, 50)
_NARROWEST = 60
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
    view = View(window=Window(window))
    if as_json or once or not _is_terminal():
        asyncio.run(_print_once(url, interval, view, as_json=as_json))
        return 0
    return _live(url, interval, view)


def _is_terminal() -> bool:
    is_dumb = os.environ.get("TERM", "dumb") == "dumb"  # noqa: TID251 - what the terminal calls itself
    return sys.stdin.isatty() and sys.stdout.isatty() and not is_dumb


def _live(url: str, interval_s: float, view: View) -> int:
    if sys.platform == "win32":
        raise click.ClickException("the live view needs a Unix terminal; --once works here")
    # Imported here: not every system has what they need.
    from taskmill.cli.top.live import Live  # noqa: PLC0415 - see above
    from taskmill.cli.top.screen import Screen  # noqa: PLC0415 - see above

    with Screen() as screen:
        return asyncio.run(Live(url, interval_s=interval_s, view=view).run(screen))


async def _print_once(url: str, interval_s: float, view: View, *, as_json: bool) -> None:
    rates = Rates()
    async with AsyncTaskmillClient(url, retries=1) as client:
        if not as_json:  # a rate needs two snapshots
            rates.add((await read(client, Failures(), view.window)).activity)
            await asyncio.sleep(interval_s)
        snapshot = await read(client, Failures(), view.window)
    rates.add(snapshot.activity)
    rows = board(snapshot, rates)
    found = notices(snapshot, rows)
    if as_json:
        show.json_lines([fields_of(url, snapshot, [asdict(one) for one in found])])
        return
    picture = Picture(
        url=url,
        interval_s=interval_s,
        view=view,
        rates=rates,
        board=rows,
        snapshot=snapshot,
        notices=found,
    )
    _print(picture)


def _print(picture: Picture) -> None:
    """Print a picture without colours, and without its last line, which lists keys."""
    # Printed text can be scrolled: only the width matters.
    width = max(get_terminal_size(_PLAIN_SIZE).columns, _NARROWEST)
    lines = frame(picture, width, _PLAIN_SIZE[1])[:-1]
    click.echo("\n".join(line.plain.rstrip() for line in lines).rstrip())
