"""The command that makes schedules of the lines of a crontab."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TextIO

import click

from taskmill.cli import show
from taskmill.cli.output import Output
from taskmill.cli.schedule_options import policy_options
from taskmill.cli.server import for_each, given, over_http
from taskmill.client.refusals import ScheduleNotFound
from taskmill.client.schedules import ScheduleFields
from taskmill.client.synchronous.client import TaskmillClient
from taskmill.domain.schedules.crontab import CrontabEntry, CrontabProblem, parse_crontab

_EPILOG = """\b
Examples:
  crontab -l | taskmill schedule import crontab - --zone Europe/Moscow --type command
  taskmill schedule import crontab /etc/crontab --users --zone Europe/Moscow --type command --apply
"""
_LONGEST_NAME: Final = 50
_COMMANDS: Final = re.compile(r"[|;&<>]+")
_FOLDER: Final = re.compile(r"[^\s=]*/")
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._]+")


class _Imported(NamedTuple):
    """The schedule of a line: its name, its task, and when it has ticks."""

    line: int
    name: str
    task: dict[str, Any]
    fields: ScheduleFields


@click.group("import")
def import_() -> None:
    """Make schedules of what another program has."""


@import_.command(epilog=_EPILOG)
@click.argument("file", type=click.File(encoding="utf-8", errors="replace", lazy=True))
@click.option("--type", "type_", metavar="TYPE", required=True, help="The type of the tasks.")
@click.option("--queue", metavar="QUEUE", help="Their queue.")
@click.option(
    "--zone", metavar="NAME", help="The time zone of the machine; a CRON_TZ in the file wins."
)
@click.option("--users", is_flag=True, help="Lines have a user, as those of /etc/crontab.")
@policy_options
@click.option("--apply", is_flag=True, help="Make the schedules; else they are only printed.")
@click.option("--replace", is_flag=True, help="Also those of which there is a schedule already.")
@over_http()
def crontab(
    *,
    file: TextIO,
    type_: str,
    queue: str | None,
    zone: str | None,
    users: bool,
    apply: bool,
    replace: bool,
    client: TaskmillClient,
    output: Output,
    **policy: Any,  # noqa: ANN401 - the options of a policy, checked by the service
) -> int:
    """Print the schedules that the lines of a crontab would be; with --apply, make them.

    The payload of their tasks has the line's `command`, and if there are any its `environment`, `stdin` and
    `user`: a handler of this type has to run that. The environment is secret: readers see it masked. FILE may
    be -, for standard input. Exit status 1 when a line can't be a schedule, or a schedule could not be made.
    """
    found = parse_crontab(file.read(), has_users=users)
    if zone is None and any(entry.zone is None for entry in found.entries):
        raise click.UsageError("In which time zone is the crontab? Give --zone, as Europe/Moscow.")
    common = given({"zone": zone, **policy})
    task = given({"type": type_, "queue": queue})
    imported = list(_imported(found.entries, task, common))
    if apply:
        status = _put_all(client, imported, output, may_replace=replace)
    else:
        status = 0
        _print(imported, output)
    _note_problems(found.problems)
    return 1 if found.problems else status


def _imported(
    entries: tuple[CrontabEntry, ...], task: dict[str, Any], common: dict[str, Any]
) -> Iterator[_Imported]:
    names: set[str] = set()
    for entry in entries:
        name = _new_name(entry.command, names)
        names.add(name)
        own = (
            {"cron": entry.cron} if entry.zone is None else {"cron": entry.cron, "zone": entry.zone}
        )
        fields: ScheduleFields = {**common, **own}  # type: ignore[typeddict-item]  # names are the options above
        template = {"name": name, **task, "payload": _payload(entry), **_secrets(entry)}
        yield _Imported(entry.line, name, template, fields)


def _payload(entry: CrontabEntry) -> dict[str, Any]:
    optional = {"environment": dict(entry.environment) or None, "stdin": entry.stdin}
    return {"command": entry.command, **given({**optional, "user": entry.user})}


def _secrets(entry: CrontabEntry) -> dict[str, Any]:
    """Return which part of the payload is secret: passwords are often variables of a crontab."""
    return {"payload_secrets": ["/environment"]} if entry.environment else {}


def _new_name(command: str, taken: set[str]) -> str:
    """Name a schedule by what is run: `cd /srv && ./report.sh --all >/dev/null` is `report.sh-all`."""
    parts = [part.strip() for part in _COMMANDS.split(command)]
    part = next((part for part in parts if part and part.split()[0] != "cd"), command)
    slug = _NOT_IN_NAMES.sub("-", _FOLDER.sub("", part).lower()).strip("-._")
    name = slug[:_LONGEST_NAME].strip("-._") or "command"
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found


def _print(imported: list[_Imported], output: Output) -> None:
    if output.as_json:
        show.json_lines({"name": one.name, **one.fields, "task": one.task} for one in imported)
        return
    if not imported:
        show.note("it has no line with a time and a command")
        return
    rows = [
        (one.name, one.fields["cron"], one.fields["zone"], one.task["payload"]["command"])
        for one in imported
    ]
    show.table(("NAME", "CRON", "ZONE", "COMMAND"), rows, cut="COMMAND")
    show.note("nothing was made yet: --apply makes them")


def _put_all(
    client: TaskmillClient, imported: list[_Imported], output: Output, *, may_replace: bool
) -> int:
    """Make schedules; one that can't be made does not stop the others."""
    by_name = {one.name: one for one in imported}
    existing = set() if may_replace else {name for name in by_name if _exists(client, name)}

    def put(name: str) -> None:
        one = by_name[name]
        made = client.put_schedule(name, one.task, **one.fields)
        output.item(made, lambda made: [(made.name, show.good("made"))])

    for name in sorted(existing):
        click.echo(f"Error: {name}: there is such a schedule; --replace replaces it", err=True)
    status = for_each([name for name in by_name if name not in existing], put)
    return 1 if existing else status


def _exists(client: TaskmillClient, name: str) -> bool:
    try:
        client.schedule(name)
    except ScheduleNotFound:
        return False
    return True


def _note_problems(problems: tuple[CrontabProblem, ...]) -> None:
    for problem in problems:
        click.echo(
            f"Error: line {problem.line}: {problem.why}: {show.printable(problem.text)}", err=True
        )
