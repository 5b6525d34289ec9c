"""One kind of failures: its course, where it happens, examples to step through, and what operators decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import orjson
from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.json_diff import MOST, Difference, differences
from taskmill.dashboard.pages import flow_charts, windows
from taskmill.dashboard.pages.flow_charts import Chart
from taskmill.dashboard.view import Pairs, View
from taskmill.dashboard.wording import shortened
from taskmill.domain.activity import Window
from taskmill.domain.error_kinds import KIND_ID_WORDS, is_kind_id, message_shape
from taskmill.domain.errors import InvalidInput, TaskNotFound
from taskmill.domain.failure_samples import FailureSample
from taskmill.domain.failures import WINDOWS, KindDetails, KindState
from taskmill.domain.lifecycle import Status
from taskmill.domain.system import PageRequest, TaskFilter
from taskmill.domain.task import Task
from taskmill.domain.time_ranges import FAILURE_DAYS
from taskmill.wire.masking import ShownTask
from taskmill.wire.wording import describe

_DECISIONS: Final[Mapping[str, KindState]] = {
    "resolve": KindState.RESOLVED,
    "ignore": KindState.IGNORED,
    "reopen": KindState.OPEN,
}
_MOST_PLACES: Final = 10
_MOST_MESSAGES: Final = 5
_LONGEST_MESSAGE: Final = 4_000
_LONGEST_VALUE: Final = 300
# How long a task of the type that succeeded is looked for, where only some queues may be seen.
_SEARCH_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDifference:
    """A difference as it is shown; the values as JSON, None where there is none."""

    pointer: str
    presence: str
    here: str | None
    there: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A task that failed so, its number among the examples, and those before and after it.

    `success` is the newest task of its type that succeeded; `differences` are between the payloads, None if they
    can't be compared.
    """

    task: ShownTask
    message: str
    number: int
    newer: UUID | None
    older: UUID | None
    success: Task | None
    differences: Sequence[ShownDifference] | None
    is_cut: bool


async def show_failure(view: View) -> Response:
    """Show the page."""
    kind_id = _kind_id(view)
    window = windows.window_of(view, WINDOWS, retained_days=FAILURE_DAYS, usual=Window.DAY)
    service = view.context.service.failures
    found = await service.get(kind_id, window)
    sample = await service.sample(found)
    return view.page(
        "failure.html",
        title=shortened(found.kind.kind, 120),
        kind=found.kind,
        found=found,
        chart=_chart(found),
        sample=sample,
        messages=_messages(sample),
        example=await _example(view, sample),
        most_places=_MOST_PLACES,
        tasks=_tasks(found),
        **windows.shown(view, window, WINDOWS),
    )


async def decide(view: View) -> Response:
    """Note what the visitor decides, and show the kind."""
    kind_id = _kind_id(view)
    name = one_of(_DECISIONS, view.request.path_params["decision"], "path:decision")
    await view.form()
    await view.context.service.failures.decide(kind_id, _DECISIONS[name])
    return view.redirect(f"/ui/failures/{kind_id}")


def _chart(found: KindDetails) -> Chart:
    """Return the chart of how many failed."""
    trend = {point.at: point.tasks for point in found.kind.trend}
    steps = found.steps
    return flow_charts.chart(
        "trend",
        "count",
        steps,
        [[trend.get(at, 0) for at in steps]],
        ("failed",),
        step=steps[1] - steps[0] if len(steps) > 1 else timedelta(minutes=10),
        is_stacked=True,
    )


def _kind_id(view: View) -> str:
    text: str = view.request.path_params["id"]
    if not is_kind_id(text):
        raise InvalidInput.at("path:id", KIND_ID_WORDS, describe(text, reveal=True))
    return text


def _tasks(found: KindDetails) -> Pairs:
    """Return the query for the tasks that are still failed in this way."""
    return [("status", Status.FAILED), ("error", found.kind.kind)]


def _messages(sample: FailureSample) -> list[tuple[str, int]]:
    """Return the most frequent messages of the sample, with # for numbers and ids."""
    shapes: dict[str, int] = {}
    for one in sample.failed:
        shape = message_shape(one.message)
        shapes[shape] = shapes.get(shape, 0) + 1
    return sorted(shapes.items(), key=lambda found: -found[1])[:_MOST_MESSAGES]


async def _example(view: View, sample: FailureSample) -> Example | None:
    """Return the example that the query names, else the newest; None without any."""
    ids = [one.id for one in sample.failed]
    wanted = first(view.query, "example")
    chosen = parse_id(wanted, "query:example") if wanted else None
    if not ids:
        return None
    number = ids.index(chosen) if chosen in ids else 0
    try:
        task = await view.context.service.reading.get(ids[number])
    except TaskNotFound:
        return None
    shown = await view.show(task)
    success = await _success(view, task)
    compared = await _compared(view, shown, success)
    return Example(
        task=shown,
        message=shortened(sample.failed[number].message, _LONGEST_MESSAGE),
        number=number + 1,
        newer=ids[number - 1] if number else None,
        older=ids[number + 1] if number + 1 < len(ids) else None,
        success=success,
        differences=None if compared is None else compared[:MOST],
        is_cut=compared is not None and len(compared) > MOST,
    )


async def _success(view: View, failed: Task) -> Task | None:
    """Return the newest task of the same type that succeeded and that the visitor may see."""
    wanted = TaskFilter(statuses=frozenset({Status.SUCCEEDED}), type=failed.type)
    request = PageRequest(limit=1, budget_s=_SEARCH_S, with_total=False)
    page = await view.context.service.page(wanted, request)
    return page.items[0] if page.items else None


async def _compared(
    view: View, failed: ShownTask, success: Task | None
) -> list[ShownDifference] | None:
    """Return where the payloads differ, as the visitor may see them: what is masked is equal to what is masked."""
    if success is None:
        return None
    shown = await view.show(success)
    if failed.payload is None or shown.payload is None:
        return None
    size = len(failed.payload) + len(shown.payload)
    return await view.offload.run_if_large(size, partial(_diff, failed.payload, shown.payload))


def _diff(failed: str, succeeded: str) -> list[ShownDifference]:
    found = differences(orjson.loads(failed), orjson.loads(succeeded))
    return [_shown(one) for one in found]


def _shown(one: Difference) -> ShownDifference:
    return ShownDifference(
        pointer=one.pointer,
        presence=one.presence,
        here=None if one.presence == "only_there" else _text(one.here),
        there=None if one.presence == "only_here" else _text(one.there),
    )


def _text(value: object) -> str:
    return shortened(orjson.dumps(value).decode(), _LONGEST_VALUE)


ROUTES = [
    ("GET", "/ui/failures/{id}", show_failure),
    ("POST", "/ui/failures/{id}/{decision}", decide),
]
