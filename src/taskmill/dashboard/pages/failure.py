"""One kind of failures: its course, where it happens, examples to step through, and what operators decide."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.pages import flow_charts, windows
from taskmill.dashboard.pages.flow_charts import Chart
from taskmill.dashboard.view import Pairs, View
from taskmill.dashboard.wording import shortened
from taskmill.domain.activity import Window
from taskmill.domain.error_kinds import KIND_ID_WORDS, is_kind_id
from taskmill.domain.errors import InvalidInput
from taskmill.domain.failures import WINDOWS, KindDetails, KindState
from taskmill.domain.lifecycle import Status
from taskmill.domain.time_ranges import FAILURE_DAYS
from taskmill.operations.failure_examples import example_of, messages_of
from taskmill.wire.wording import describe

_DECISIONS: Final[Mapping[str, KindState]] = {
    "resolve": KindState.RESOLVED,
    "ignore": KindState.IGNORED,
    "reopen": KindState.OPEN,
}
_MOST_PLACES: Final = 10


async def show_failure(view: View) -> Response:
    """Show the page."""
    kind_id = _kind_id(view)
    window = windows.window_of(view, WINDOWS, retained_days=FAILURE_DAYS, usual=Window.DAY)
    service = view.context.service.failures
    found = await service.get(kind_id, window)
    sample = await service.sample(found)
    wanted = first(view.query, "example")
    chosen = parse_id(wanted, "query:example") if wanted else None
    return view.page(
        "failure.html",
        title=shortened(found.kind.kind, 120),
        kind=found.kind,
        found=found,
        chart=_chart(found),
        sample=sample,
        messages=await messages_of(view.context.service, sample),
        example=await example_of(view.context.service, sample, chosen, view.show),
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


ROUTES = [
    ("GET", "/ui/failures/{id}", show_failure),
    ("POST", "/ui/failures/{id}/{decision}", decide),
]
