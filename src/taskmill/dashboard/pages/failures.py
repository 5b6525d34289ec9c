"""Recent failures by type and error: how often, since when, an example, and a retry of all of a kind."""

from dataclasses import dataclass
from hashlib import blake2s
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.pages import windows
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.activity import Window
from taskmill.domain.failures import WINDOWS, FailureGroup, Failures
from taskmill.domain.lifecycle import Status
from taskmill.operations.visibility import current_visibility

_MOST: Final = 50
_TTL_S: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A kind of failures, its key, and the query for its tasks; None for the row of all other kinds."""

    group: FailureGroup
    error_type: str
    message: str
    share: float
    key: str
    tasks: Pairs | None


async def show_failures(view: View) -> Response:
    """Show the failures of a time window."""
    window = windows.window_of(view, WINDOWS)
    failures = await _read(view, window)
    most = max((group.tasks for group in failures.groups), default=1)
    return view.page(
        "failures.html",
        title=view.t("nav.failures"),
        failures=failures,
        rows=[_row(group, most) for group in failures.groups],
        window=window,
        windows=WINDOWS,
    )


async def _read(view: View, window: Window) -> Failures:
    """Return the failures that the visitor may see; those of all queues are shared by requests for a moment."""
    if current_visibility() is not None:
        return await view.context.service.failures(window, _MOST)
    return await view.context.failures.get(
        (window, view.context.change_ticker.change_count),
        lambda: view.context.service.failures(window, _MOST),
        ttl_s=_TTL_S,
    )


def _row(group: FailureGroup, most: int) -> Row:
    error_type, _, message = group.error.partition(": ")
    return Row(
        group=group,
        error_type=error_type,
        message=message,
        share=group.tasks / most,
        key=blake2s(f"{group.type} {group.error}".encode(), digest_size=8).hexdigest(),
        tasks=None
        if group.is_other
        else [("status", Status.FAILED), ("type", group.type), ("error", group.error)],
    )


ROUTES = [("GET", "/ui/failures", show_failures)]
