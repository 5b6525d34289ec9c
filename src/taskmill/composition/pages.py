"""Makes the dashboard of a process."""

from typing import TYPE_CHECKING

from taskmill.composition.process_context import ProcessContext
from taskmill.operations.service import TaskService
from taskmill.runtime.services import Service

if TYPE_CHECKING:
    from taskmill.dashboard.app import Dashboard


def dashboard(
    parts: ProcessContext, service: TaskService
) -> "tuple[Dashboard | None, list[Service]]":
    """Return the pages for people and what runs for them; None and nothing where they are off."""
    if not parts.settings.dashboard.enabled:
        return None, []
    # Here, because templates take time to import, and most processes do without them.
    from taskmill.dashboard.app import Dashboard  # noqa: PLC0415
    from taskmill.dashboard.context import Context  # noqa: PLC0415
    from taskmill.dashboard.jobs import Jobs  # noqa: PLC0415
    from taskmill.operations.change_ticker import ChangeTicker  # noqa: PLC0415

    change_ticker, jobs = ChangeTicker(parts.database), Jobs(service, parts.ids)
    context = Context(
        service=service,
        change_ticker=change_ticker,
        jobs=jobs,
        settings=parts.settings,
        clock=parts.clock,
    )
    return Dashboard(context), [change_ticker, jobs]
