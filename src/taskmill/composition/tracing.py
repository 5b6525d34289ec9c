"""Turns traces on, when the settings say so."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from taskmill.domain.extras import NotInstalled
from taskmill.runtime.clock import Clock
from taskmill.settings import Settings

if TYPE_CHECKING:
    from taskmill.observability.traces import Traces


def open_traces(settings: Settings, clock: Clock, stack: AsyncExitStack) -> "Traces | None":
    """Return what creates this process's spans, None when traces are off; leaving the stack ends the export.

    Raises:
        NotInstalled: OpenTelemetry is not installed.
        ConfigurationError: One of its variables is invalid.
    """
    if settings.traces == "off":
        return None
    try:
        # Imported here: it takes 0.1 s, and need not be installed.
        from taskmill.observability.span_export import open_export  # noqa: PLC0415
    except ImportError as error:
        raise NotInstalled("TASKMILL_TRACES", extra="traces") from error
    export = open_export(settings.worker.name, clock.monotonic)
    stack.push_async_callback(export.close)
    return export.traces
