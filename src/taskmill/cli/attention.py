"""`taskmill attention`: what needs attention, what ends it, and who has seen to it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import click

from taskmill.cli import show
from taskmill.cli.output import Output
from taskmill.cli.server import over_http
from taskmill.client.attention import NoticeState
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.client.views.attention import AttentionView, NoticeView
from taskmill.domain.attention import Severity

_ID_DIGITS: Final = 8
_EPILOG = """\b
Examples:
  taskmill attention
  taskmill attention --json | jq .items
  taskmill attention --acknowledge 3d1a7c0e --note "the machine is back at noon"
  taskmill attention --silence 3d1a7c0e
"""


@click.command(epilog=_EPILOG)
@click.option("--acknowledge", metavar="ID", help="It does not count until it ends.")
@click.option("--silence", metavar="ID", help="It does not count for an hour.")
@click.option("--reopen", metavar="ID", help="It counts again.")
@click.option("--note", metavar="TEXT", help="Why; it is shown with the notice.")
@over_http()
def attention(
    *,
    acknowledge: str | None,
    silence: str | None,
    reopen: str | None,
    note: str | None,
    client: TaskmillClient,
    output: Output,
) -> int:
    """List what needs attention, the worst first, with what ends it; exit status 0 if all is well, else 1.

    It is what the overview of the dashboard and `taskmill top` show, too. An ID is the beginning of a notice's id.
    """
    wanted: Mapping[NoticeState, str | None] = {
        "acknowledged": acknowledge,
        "silenced": silence,
        "open": reopen,
    }
    asked = [(state, text) for state, text in wanted.items() if text is not None]
    if asked:
        _mark(client, asked, note, output)
        return 0
    found = client.attention()
    output.item(found, _lines)
    return 1 if found.count else 0


def _mark(
    client: TaskmillClient,
    asked: Sequence[tuple[NoticeState, str]],
    note: str | None,
    output: Output,
) -> None:
    for state, text in asked:
        notice_id = _find(client, text)
        output.item(_changed(client, state, notice_id, note), _notice_lines)


def _changed(
    client: TaskmillClient, state: NoticeState, notice_id: str, note: str | None
) -> NoticeView:
    match state:
        case "acknowledged":
            return client.acknowledge(notice_id, note)
        case "silenced":
            return client.silence(notice_id, note)
        case "open":
            return client.reopen(notice_id)


def _find(client: TaskmillClient, text: str) -> str:
    """Return the id that begins with a text."""
    found = [str(one.id) for one in client.attention().items]
    matching = [one for one in found if one.startswith(text.lower())]
    if len(matching) != 1:
        number = "several notices have" if matching else "no notice has"
        raise click.ClickException(f"{number} an id that begins with {text}")
    return matching[0]


def _lines(found: AttentionView) -> Iterator[Sequence[show.Cell]]:
    if not found.count:
        since = f" since {show.clock_time(found.well_since)}" if found.well_since else ""
        yield (show.good(f"all well{since}"),)
    for notice in found.items:
        yield from _notice_lines(notice)


def _notice_lines(notice: NoticeView) -> Iterator[Sequence[show.Cell]]:
    yield (sentence(notice),)
    since = f"since {show.age(notice.since)}: " if notice.since else ""
    yield (f"  {str(notice.id)[:_ID_DIGITS]}", show.dim(since + notice.action))
    if (mark := notice.mark) is not None:
        text = f"{mark.state} by {mark.by}, {show.age(mark.at)}"
        yield ("  ", show.dim(f"{text}: {mark.note}" if mark.note else text))


def sentence(notice: NoticeView) -> show.Cell:
    """Return what is the matter, in the colour of how bad it is; pale if somebody has seen to it."""
    if notice.mark is not None:
        return show.dim(f"- {notice.sentence}")
    if notice.severity is Severity.TROUBLE:
        return show.failure(f"\N{BALLOT X} {notice.sentence}")
    return show.warning(f"! {notice.sentence}")
