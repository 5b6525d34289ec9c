"""Makes the dashboard of a process."""

from typing import TYPE_CHECKING

from taskmill.composition.doctor import doctor_of
from taskmill.composition.keys import sessions
from taskmill.composition.outgoing import webhook_operations
from taskmill.composition.process_context import ProcessContext
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.service import TaskService
from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.warnings import Warnings
from taskmill.runtime.services import Service

if TYPE_CHECKING:
    from taskmill.dashboard.app import Dashboard
    from taskmill.operations.feed import Feed


def dashboard(
    context: ProcessContext, service: TaskService, feed: "Feed", keys: KeyVerifier | None
) -> "tuple[Dashboard | None, list[Service]]":
    """Return the pages and the services that they need; None and no services when the dashboard is off."""
    if not context.settings.dashboard.enabled:
        return None, []
    # Imported here: templates take time, and most processes do not need them.
    from taskmill.dashboard.app import Dashboard  # noqa: PLC0415
    from taskmill.dashboard.context import Context as PageContext  # noqa: PLC0415
    from taskmill.operations.change_ticker import ChangeTicker  # noqa: PLC0415

    change_ticker = ChangeTicker(context.database)
    verifier, session_services = sessions(context, keys)
    page_context = PageContext(
        service=service,
        webhooks=webhook_operations(context),
        feed=feed,
        warning_of=Warnings(AddressRules.of(context.settings.outbound)),
        change_ticker=change_ticker,
        doctor=doctor_of(context, service),
        settings=context.settings,
        clock=context.clock,
        sessions=verifier,
    )
    pages = Dashboard(page_context)
    return pages, [change_ticker, pages.template_compiler, *session_services]
