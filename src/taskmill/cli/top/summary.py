"""The lines above the tables: a title, numbers of tasks, rates, and what needs attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from rich.text import Text

from taskmill.cli import show
from taskmill.cli.show import Cell
from taskmill.cli.top.drawing import bar, beside, cell, count, per_second, seconds, spark
from taskmill.cli.top.picture import Picture
from taskmill.cli.top.rates import Rates
from taskmill.cli.top.reading import Snapshot
from taskmill.cli.top.rows import CREATED, ENDED, FAILED
from taskmill.cli.waiting import counts_of
from taskmill.client.views.activity import ActivityView, DurationsView, PointView
from taskmill.client.views.attention import NoticeView
from taskmill.domain.attention import Severity
from taskmill.domain.lifecycle import EventType, Status
from taskmill.domain.system import BrokerPresence
from taskmill.domain.waiting import WaitingCount, WaitingState

_LABEL, _RATE, _BAR, _GAP = 8, 8, 10, 3
# The rate of a step that has only begun would be far off.
_FEWEST_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Which service is shown, over which time span, and how often it is read."""

    url: str
    window: str
    interval_s: float


def title(options: Options, picture: Picture, width: int, *changes: str) -> Text:
    """Return the first line; `changes` say how the picture differs from the usual one."""
    left = Text.assemble(show.strong("taskmill top"), "  ", show.printable(options.url))
    span = "last" if picture.rates.are_of_now else "rates over"
    parts = [f"{span} {options.window}, every {options.interval_s:g} s"]
    if picture.snapshot is not None:
        parts.append(f"{picture.snapshot.at.astimezone():%H:%M:%S}")
    marks = [Text(show.printable(change), style="reverse") for change in changes]
    return beside(left, Text("  ").join([*marks, show.dim("  ".join(parts))]), width)


def trouble_line(picture: Picture, trouble: str | None) -> list[Text]:
    """Return why there is no newer snapshot, no line when there is."""
    if trouble is None:
        return []
    old = "" if picture.snapshot is None else "what is shown is old, "
    return [Text(show.printable(f"{old}trying again: {trouble}"))]


def summary(snapshot: Snapshot, rates: Rates, width: int) -> list[Text]:
    """Return the counting lines: tasks, rates, durations, and workers."""
    left = (width - _GAP) // 2
    right = width - _GAP - left
    activity = snapshot.activity
    pairs = (
        (_rate("created", CREATED, rates, activity, left), _waits(activity, right)),
        (_rate("ended", ENDED, rates, activity, left), _runs(activity, right)),
        (_rate("failed", FAILED, rates, activity, left), _capacity(snapshot, right)),
    )
    return [
        cell(_counts(snapshot, width), width),
        *_waiting(snapshot, width),
        *(Text.assemble(cell(one, left), " " * _GAP, cell(other, right)) for one, other in pairs),
    ]


def _counts(snapshot: Snapshot, width: int) -> Text:
    """Return the count of every status; the total only if there is room."""
    stats = snapshot.stats
    statuses = Text("  ").join(
        Text.assemble(
            show.dim("running" if status is Status.IN_PROGRESS else status),
            " ",
            _as_text(count(stats.by_status[status]), status),
        )
        for status in Status
    )
    total = Text.assemble(_label("tasks"), _as_text(count(stats.total), "bold"), "  ")
    return Text.assemble(total if total.cell_len + statuses.cell_len <= width else "", statuses)


def _waiting(snapshot: Snapshot, width: int) -> list[Text]:
    """Return the line of what new tasks wait for; none where nothing waits."""
    waiting = snapshot.stats.waiting
    if waiting is None or not snapshot.stats.by_status[Status.NEW]:
        return []
    parts = Text("  ").join(
        Text.assemble(show.dim(state), " ", _waiting_number(state, counts_of(waiting).of(state)))
        for state in WaitingState
    )
    return [cell(Text.assemble(_label("new"), parts), width)]


def _waiting_number(state: WaitingState, number: WaitingCount) -> Text:
    if not number.tasks:
        return show.dim("0")
    return show.warning(str(number)) if state is WaitingState.HELD else show.strong(str(number))


def _as_text(value: Cell, style: str) -> Text:
    if isinstance(value, Text):
        return value
    return show.strong(value) if style == "bold" else show.status(style, value)


def _rate(
    label: str,
    event_types: Sequence[EventType],
    rates: Rates,
    activity: ActivityView,
    width: int,
) -> Text:
    rate = per_second(rates.of(None, *event_types))
    is_bad = event_types is FAILED and not isinstance(rate, Text)
    shown = show.failure(str(rate)) if is_bad else rate
    bars = spark(series(activity, event_types), width - _LABEL - _RATE - 2)
    number = Text.assemble(shown, show.dim("/s"))
    return Text.assemble(
        _label(label), cell(number, _RATE), "  ", (bars, "red" if is_bad else "cyan")
    )


def series(activity: ActivityView, event_types: Sequence[EventType]) -> list[float | None]:
    """Return how often these happened in a second, by step; of the last step, what has passed."""
    return [
        sum(point.counts[event_type] for event_type in event_types) / length
        for point in activity.points
        if (length := _length_s(point, activity)) >= _FEWEST_S
    ]


def _length_s(point: PointView, activity: ActivityView) -> float:
    return min((activity.until - point.at) / timedelta(seconds=1), float(activity.step_s))


def _waits(activity: ActivityView, width: int) -> Text:
    steps = [point.waiting.p95_s for point in activity.points]
    return _durations("waited", activity.total.waiting, steps, width)


def _runs(activity: ActivityView, width: int) -> Text:
    steps = [point.running.p95_s for point in activity.points]
    return _durations("ran", activity.total.running, steps, width)


def _durations(
    label: str, durations: DurationsView, steps: Sequence[float | None], width: int
) -> Text:
    text = Text.assemble(_label(label), times(durations))
    bars = spark(steps, width - text.cell_len - 2)
    return Text.assemble(text, "  ", (bars, "cyan"))


def times(durations: DurationsView) -> Text:
    """Show median and 95th percentile."""
    return Text.assemble(
        show.dim("p50 "),
        cell(seconds(durations.p50_s), 7),
        show.dim(" p95 "),
        cell(seconds(durations.p95_s), 7),
    )


def _capacity(snapshot: Snapshot, width: int) -> Text:
    stats = snapshot.stats
    workers = f"{stats.workers_alive:,} worker{'' if stats.workers_alive == 1 else 's'}"
    used = bar(stats.running, stats.slots, _BAR)
    text = Text.assemble(
        _label("slots"), used, " ", count(stats.running), show.dim(" of "), count(stats.slots)
    )
    for more in (Text.assemble("  ", workers), Text.assemble("  ", _broker(snapshot))):
        if text.cell_len + more.cell_len <= width:
            text.append_text(more)
    return text


def _broker(snapshot: Snapshot) -> Text:
    match snapshot.stats.broker.state:
        case BrokerPresence.OK:
            return show.good("broker ok")
        case BrokerPresence.AWAY:
            return show.failure("broker away")
        case BrokerPresence.NONE:
            return show.dim("no broker")
        case state:
            assert_never(state)


def notice_lines(found: Sequence[NoticeView], width: int, height: int) -> list[Text]:
    """Return what needs attention in `height` lines, so that the lines below do not move."""
    if not found:
        lines = [cell(show.good("✓ all well"), width)]
        return lines + [Text()] * (height - 1)
    fits = len(found) <= height
    lines = [cell(_notice(one), width) for one in (found if fits else found[: height - 1])]
    if not fits:
        remaining = found[height - 1 :]
        more = f"  and {len(remaining) - 1} more" if len(remaining) > 1 else ""
        last = cell(_notice(remaining[0]), max(width - len(more), 0))
        lines.append(Text.assemble(last, show.dim(more)))
    return lines + [Text()] * (height - len(lines))


def _notice(one: NoticeView) -> Text:
    match one.severity:
        case Severity.TROUBLE:
            return show.failure(f"✗ {one.sentence}")
        case Severity.WARNING:
            return show.warning(f"! {one.sentence}")
        case _:
            assert_never(one.severity)


def _label(text: str) -> Text:
    return cell(show.dim(text), _LABEL)
