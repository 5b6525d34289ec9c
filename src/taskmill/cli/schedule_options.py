"""The options that say when a schedule has ticks, what becomes of them, and what a task of it looks like."""

from collections.abc import Mapping
from typing import Any, Final

import click

from taskmill.cli.numbers import Seconds, Whole
from taskmill.cli.parameters import Moment, PayloadParam
from taskmill.cli.server import given, with_options
from taskmill.cli.task_options import task_options
from taskmill.domain.schedules.spec import CatchUp, Fold, Gap, Overlap

# A schedule decides these itself for each of its tasks; and from one moment on all of its tasks would expire.
_NOT_IN_TEMPLATES: Final = frozenset({"run_at", "delay_s", "idempotency_key", "expires_at"})

spec_options = with_options(
    click.option("--cron", metavar="EXPRESSION", help="5 fields, 6 with seconds, or @daily."),
    click.option("--every", metavar="DURATION", help="An ISO 8601 duration, such as PT15M."),
    click.option("--at", type=Moment(), multiple=True, help="A time; may be repeated."),
    click.option("--anchor", type=Moment(), help="From when an interval is counted."),
    click.option("--zone", metavar="NAME", help="The time zone, such as Europe/Berlin; else UTC."),
    click.option(
        "--gap",
        type=click.Choice([one.value for one in Gap]),
        help="Times that a clock change leaves out: at its end, or skipped.",
    ),
    click.option(
        "--fold",
        type=click.Choice([one.value for one in Fold]),
        help="Times that a clock change repeats.",
    ),
    click.option("--starts-at", type=Moment(), help="No tick is before it."),
    click.option("--ends-at", type=Moment(), help="All ticks are before it."),
    click.option(
        "--jitter",
        "jitter_s",
        type=Seconds(min=0),
        metavar="SECONDS",
        help="The longest delay of a tick.",
    ),
)

policy_options = with_options(
    click.option(
        "--overlap",
        type=click.Choice([one.value for one in Overlap]),
        help="What a tick does while the task of an earlier one has not ended.  [default: allow]",
    ),
    click.option(
        "--catch-up",
        type=click.Choice([one.value for one in CatchUp]),
        help="Which ticks that were missed get a task after all.  [default: latest]",
    ),
    click.option(
        "--within", metavar="DURATION", help="How late these may be, such as PT2H.  [default: PT1H]"
    ),
    click.option(
        "--most",
        type=Whole(min=1),
        metavar="N",
        help="How many of them get one with --catch-up all: the newest.  [default: 100]",
    ),
)
template_options = with_options(
    click.option("--name", metavar="TEXT", help="The name of its tasks.  [default: NAME]"),
    click.option(
        "--task",
        type=PayloadParam(),
        help="Its tasks as JSON, as in POST /tasks; the options below win.",
    ),
    task_options(without=_NOT_IN_TEMPLATES),
)


def template_of(schedule: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a task looks like by the values of `template_options`."""
    fields = dict(options)
    task, labels = fields.pop("task") or {}, dict(fields.pop("labels"))
    return {"name": schedule, **task, **given({**fields, "labels": labels or None})}
