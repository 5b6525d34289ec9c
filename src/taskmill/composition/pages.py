"""Makes the dashboard of a process."""

from typing import TYPE_CHECKING

from taskmill.composition.parts import Parts
from taskmill.operations.service import TaskService
from taskmill.runtime.services import Service

if TYPE_CHECKING:
    from taskmill.dashboard.app import Dashboard


def dashboard(parts: Parts, service: TaskService) -> "tuple[Dashboard | None, list[Service]]":
    """Return the pages for people and what runs for them; None and nothing where they are off."""
    if not parts.settings.dashboard.enabled:
        return None, []
    # Here, because templates take time to import, and most processes do without them.
    from taskmill.dashboard.app import Dashboard  # noqa: PLC0415
    from taskmill.dashboard.context import Context  # noqa: PLC0415
    from taskmill.dashboard.jobs import Jobs  # noqa: PLC0415
    from taskmill.operations.pulse import Pulse  # noqa: PLC0415

    pulse, jobs = Pulse(parts.database), Jobs(service, parts.ids)
    context = Context(
        service=service,
        pulse=pulse,
        jobs=jobs,
        settings=parts.settings,
        clock=parts.clock,
    )
    return Dashboard(context), [pulse, jobs]
