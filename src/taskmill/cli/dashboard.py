"""`taskmill dashboard`: a link that logs a browser in, so that nobody has to paste an API key."""

import os
import tempfile
import webbrowser
from contextlib import suppress
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Final

import click

from taskmill.cli import show
from taskmill.cli.output import Lines, Output
from taskmill.cli.server import over_http
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.view import View
from taskmill.domain.sessions import LINK_VALID

_EPILOG = """\b
Examples:
  taskmill dashboard --open
  TASKMILL_API_KEY_FILE=reader.key taskmill dashboard --url https://tasks.example.org
"""
_FILE: Final = ("taskmill-dashboard-", ".html")
_PAGE: Final = """<!doctype html>
<meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={link}"><title>Taskmill</title>
<a href="{link}">Taskmill</a>
"""


class _Link(View):
    """What the command prints."""

    url: str
    expires_at: datetime | None


@click.command(epilog=_EPILOG)
@click.option(
    "--open", "is_opened", is_flag=True, help="Open it in a browser of this machine, too."
)
@over_http()
def dashboard(*, is_opened: bool, client: TaskmillClient, output: Output) -> None:
    """Print a link to the dashboard that logs a browser in with your API key, without showing it.

    It is good for one login, within a minute, and only as long as you make no other one. Where the service
    requires no keys, it is the dashboard's address.
    """
    made = client.login_link()
    link = _Link(url=client.base_url + made.path, expires_at=made.expires_at)
    output.item(link, _lines)
    if link.expires_at is not None and not output.as_json:
        show.note("it logs one browser in, once, within a minute: give it to nobody")
    if is_opened and not webbrowser.open(_page_that_leads_to(link.url).as_uri()):
        raise click.ClickException("no browser was found: open the link yourself")


def _lines(link: _Link) -> Lines:
    yield (link.url,)


def _page_that_leads_to(link: str) -> Path:
    """Write a page for a browser of this user. Everybody may list the arguments of programs, but not read this."""
    prefix, suffix = _FILE
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=suffix)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_PAGE.format(link=escape(link)))
    _remove_pages_before(Path(name))
    return Path(name)


def _remove_pages_before(newest: Path) -> None:
    """Remove those whose links have expired; when a browser has read one is unknown."""
    written = newest.stat()
    for page in newest.parent.glob("*".join(_FILE)):
        with suppress(OSError):
            found = page.lstat()
            is_over = written.st_mtime - found.st_mtime > LINK_VALID.total_seconds()
            if is_over and found.st_uid == written.st_uid:
                page.unlink()
