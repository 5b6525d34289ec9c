"""Cancelling and retrying all tasks that fit: counted first, then asked about, then done step by step."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from taskmill.cli import show
from taskmill.cli.parameters import Label, Moment
from taskmill.client.errors import ClientError
from taskmill.client.sweeps import Selected
from taskmill.domain.lifecycle import Status
from taskmill.wire.sweeps import SweepView

__all__ = [
    "CANCEL",
    "RETRY",
    "Asked",
    "asked_sweep",
    "filter_options",
    "filters_of",
    "sweep",
    "sweep_options",
]

F = TypeVar("F", bound=Callable[..., Any])
_BAR_WIDTH = 30
_MOST_UNTYPED = 1_000
"""Whoever means more tasks than these types their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How an action is called before and after."""

    ask: str
    done: str


CANCEL = Words(ask="Cancel", done="cancelled")
RETRY = Words(ask="Run again", done="new again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options ask for."""

    selected: Selected
    dry_run: bool
    yes: bool


def filter_options(*statuses: Status) -> Callable[[F], F]:
    """Add the options that say which tasks are meant."""
    options = (
        click.option(
            "--status",
            type=click.Choice([status.value for status in statuses]),
            multiple=True,
            help="May be given several times.",
        ),
        click.option("--queue", metavar="QUEUE", help="Of this queue."),
        click.option("--type", "type", metavar="TYPE", help="Of this type."),
        click.option("--label", type=Label(), multiple=True, help="With this label."),
        click.option("--name", metavar="TEXT", help="Whose name has this text in it."),
        click.option("--created-after", type=Moment(), help="Created at this time or later."),
        click.option("--created-before", type=Moment(), help="Created before this time."),
    )
    return _all(options)


def sweep_options(command: F) -> F:
    """Add the options that say how all that fit are treated."""
    options = (
        click.option("--all", is_flag=True, help="All tasks; instead of a filter."),
        click.option("--dry-run", is_flag=True, help="Only count what fits."),
        click.option("--yes", is_flag=True, help="Don't ask."),
    )
    return _all(options)(command)


def _all(options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def filters_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the filters that were given, as the service takes them."""
    given = {name: value for name, value in options.items() if value not in (None, (), False)}
    if labels := given.get("label"):
        given["label"] = [f"{key}={value}" for key, value in labels]
    return given


def asked_sweep(task_ids: Sequence[str], options: Mapping[str, Any]) -> Asked | None:
    """Return which sweep is asked for, None when ids are given.

    Raises:
        click.UsageError: there are both or neither.
    """
    how = {name: options[name] for name in ("dry_run", "yes")}
    selected = filters_of({name: options[name] for name in options if name not in how})
    if not task_ids and not selected:
        raise click.UsageError("Which tasks? Give their ids, a filter such as --queue, or --all.")
    if task_ids and (selected or any(how.values())):
        raise click.UsageError("Give ids, or say which tasks fit; not both.")
    return None if task_ids else Asked(selected=selected, **how)  # type: ignore[arg-type]  # names are the options above


def sweep(
    action: Callable[..., SweepView],
    words: Words,
    asked: Asked,
    *,
    as_json: bool,
    quiet: bool = False,
) -> int:
    """Do it to all that fit, if somebody says yes; tell what was done. Returns the exit status."""
    tell = _teller(words, as_json=as_json, quiet=quiet)
    has_person = sys.stdin.isatty() and sys.stderr.isatty()
    if not (asked.dry_run or asked.yes or has_person):
        raise click.UsageError("Nobody can be asked here: give --yes, or --dry-run to only count.")
    total: int | None = None
    if asked.dry_run or has_person:
        counted = _followed(action, "counted", asked.selected, None, dry_run=True)
        if asked.dry_run or not counted.matched:
            tell(counted)
            return 0
        total = counted.matched
    if not asked.yes and not _is_confirmed(words, total or 0):
        show.note("nothing was changed")
        return 1
    tell(_followed(action, words.done, asked.selected, total, dry_run=False))
    return 0


def _is_confirmed(words: Words, total: int) -> bool:
    """Ask whoever sits there; a large number is typed, as a `y` is typed too easily."""
    question = f"{words.ask} {_tasks(total)}?"
    if total <= _MOST_UNTYPED:
        return click.confirm(question, err=True)
    typed = click.prompt(
        f"{question} Type the number", default="", show_default=False, err=True, type=str
    )
    return typed.replace(",", "").strip() == str(total)


def _followed(
    action: Callable[..., SweepView],
    word: str,
    selected: Selected,
    total: int | None,
    *,
    dry_run: bool,
) -> SweepView:
    """Do it, with a bar on a terminal as long as it takes."""
    done = 0
    with show.Standing() as standing:

        def draw(so_far: SweepView) -> None:
            nonlocal done
            done = so_far.matched
            standing.show(progress(done, total, word))

        try:
            return action(dry_run=dry_run, on_step=draw, **selected)
        except (ClientError, KeyboardInterrupt):
            standing.clear()
            show.note(f"broken off: {progress(done, None, word)}, maybe more")
            raise


def progress(done: int, total: int | None, word: str) -> str:
    """Return a bar, or only a count when nobody knows how many there will be."""
    if not total:
        return f"{done:,} {word}"
    share = min(done / total, 1.0)
    filled = round(share * _BAR_WIDTH)
    return f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {done:,} of {total:,} {word}"


def _teller(words: Words, *, as_json: bool, quiet: bool) -> Callable[[SweepView], None]:
    if quiet:
        return lambda _: None
    if as_json:
        return lambda done: show.json_lines([done.model_dump_json().encode()])
    return lambda done: _tell(done, words)


def _tell(done: SweepView, words: Words) -> None:
    if done.dry_run or not done.matched:
        fits = "fits" if done.matched == 1 else "fit"
        show.line(f"{_tasks(done.matched)} {fits}")
        return
    parts = [f"{done.changed:,} {words.done}"]
    if done.asked:
        parts.append(f"{done.asked:,} running, asked to stop")
    if moved := done.matched - done.changed - done.asked:
        parts.append(f"{moved:,} moved on meanwhile")
    show.line(", ".join(parts))


def _tasks(count: int) -> str:
    return f"{count:,} task" + ("" if count == 1 else "s")
