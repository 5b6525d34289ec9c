"""The types of tasks: who runs each, how it does, and its contract."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import orjson
from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.pages import chart_marks, flow_charts, level_charts, slices, windows
from taskmill.dashboard.pages.queue import MOST_SLOWEST, MOST_WORKERS, one_each, open_kinds
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.activity import Activity, ActivityRequest, AnyWindow
from taskmill.domain.contracts import ContractVersion, RegisteredType
from taskmill.domain.errors import TypeNotFound
from taskmill.domain.slow_tasks import MOST_LOOKED_AT
from taskmill.domain.task_types import TypeState, type_states
from taskmill.runtime.gather import gather
from taskmill.wire.fields import is_name

ORDERS: Final[Mapping[str, Callable[[TypeState], object]]] = {
    "name": lambda one: one.name,
    "ended": lambda one: (-one.ended, one.name),
    "failed": lambda one: (-one.failed, one.name),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownContract:
    """A version of a contract; its schema as text with one member on each line, and its defaults by name."""

    version: ContractVersion
    schema_text: str
    defaults: Mapping[str, object]


async def show_types(view: View) -> Response:
    """Show those with the search text in their name."""
    window, order = windows.window_of(view), _order(view.query)
    name = slices.searched(view.query, "name")
    contracts, (workers, activity) = await gather(
        _contracts(view),
        gather(view.context.service.workers(), windows.grouped_activity(view, window)),
    )
    states = type_states(contracts, workers, activity.groups)
    wanted = [one for one in states if name.lower() in one.name.lower()]
    return view.page(
        "types.html",
        title=view.t("nav.types"),
        part=slices.cut(sorted(wanted, key=ORDERS[order]), view.query),  # type: ignore[arg-type]  # they compare
        there_are_some=bool(states),
        name=name,
        order=order,
        orders=list(ORDERS),
        **windows.shown(view, window),
    )


async def show_type(view: View) -> Response:
    """Show one: what happened, its kinds of failures, who runs it, and its contract."""
    name: str = view.request.path_params["name"]
    if not is_name(name):
        raise TypeNotFound(name)
    window = windows.window_of(view)
    service = view.context.service
    (contract, activity), (workers, kinds) = await gather(
        gather(_contract(view, name), _activity(view, window, name)),
        gather(service.workers(), open_kinds(view, window, type_=name)),
    )
    (groups, slowest), queues = await gather(
        gather(
            windows.failed_groups(view, window, type_=name),
            service.slowest(window, type_=name, limit=MOST_SLOWEST),
        ),
        service.queues(is_brief=True),
    )
    contracts = [] if contract is None else [contract]
    states = type_states(contracts, workers, activity.groups)
    state = next((one for one in states if one.name == name), TypeState(name=name))
    return view.page(
        "type.html",
        title=name,
        state=state,
        workers=one_each(state.workers)[:MOST_WORKERS],
        queues=sorted({queue for queue, _ in activity.groups}),
        paused={one.name for one in queues if one.paused_at is not None},
        kinds=kinds,
        slowest=slowest,
        looked_at=MOST_LOOKED_AT,
        contract=contract,
        shown=None if contract is None else _shown(_version(view.query, contract)),
        charts=flow_charts.flow_charts(activity),
        marks=await chart_marks.read_marks(
            view, activity, type_=name, queues={queue for queue, _ in activity.groups}
        ),
        failures=level_charts.failure_chart(groups, activity),
        **windows.shown(view, window),
    )


def _order(query: Pairs) -> str:
    return one_of(ORDERS, first(query, "order") or "name", "query:order")


async def _contracts(view: View) -> Sequence[RegisteredType]:
    """Return the contracts that the visitor may see."""
    found = await view.context.service.contracts.all()
    return [one for one in found if view.may_see_contract(one.name, one.current)]


async def _contract(view: View, name: str) -> RegisteredType | None:
    try:
        found = await view.context.service.contracts.get(name)
    except TypeNotFound:
        return None
    if not view.may_see_contract(name, found.current):
        return None
    return replace(
        found, versions=[one for one in found.versions if view.may_see_contract(name, one)]
    )


async def _activity(view: View, window: AnyWindow, name: str) -> Activity:
    return await view.context.service.activity(ActivityRequest(window=window, type=name))


def _version(query: Pairs, contract: RegisteredType) -> ContractVersion:
    """Return the version that is asked for, else the current one."""
    text = first(query, "version")
    known = {f"{one.version}": one for one in contract.versions}
    return known[one_of(known, text, "query:version")] if text else contract.current


def _shown(version: ContractVersion) -> ShownContract:
    schema = orjson.dumps(orjson.loads(version.schema), option=orjson.OPT_INDENT_2)
    return ShownContract(
        version=version, schema_text=schema.decode(), defaults=orjson.loads(version.defaults)
    )


ROUTES = [
    ("GET", "/ui/types", show_types),
    ("GET", "/ui/types/{name}", show_type),
]
