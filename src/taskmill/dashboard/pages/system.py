"""The system: its processes with their versions and roles, its database, its broker, retention, settings."""

from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.view import View
from taskmill.domain.system_report import SystemReport
from taskmill.operations.system_report import read_report
from taskmill.settings import effective
from taskmill.version import VERSION

_TTL_S: Final = 5.0
_DEFAULT: Final = "default"
_RETENTION: Final = "TASKMILL_RETENTION__"
_ALSO_RETENTION: Final = frozenset({"TASKMILL_WEBHOOKS__KEEP_DAYS"})
_ALL: Final = "all"


async def show_system(view: View) -> Response:
    """Show it, with the settings that differ from their defaults, or all of them."""
    shows_all = bool(first(view.query, "settings")) and one_of(
        (_ALL,), first(view.query, "settings"), "query:settings"
    )
    settings = effective(view.context.settings)
    return view.page(
        "system.html",
        title=view.t("nav.system"),
        report=await _report(view),
        own_version=VERSION,
        retention=[one for one in settings if _is_retention(one.name)],
        settings=[one for one in settings if shows_all or one.source != _DEFAULT],
        setting_count=len(settings),
        shows_all=bool(shows_all),
    )


def _is_retention(name: str) -> bool:
    return name.startswith(_RETENTION) or name in _ALSO_RETENTION


async def _report(view: View) -> SystemReport:
    """Return the report, some seconds old at most: sizes of tables and queues take many reads."""
    service = view.context.service
    return await view.context.reports.get(
        None,
        lambda: read_report(service.database, service.broker, service.figures),
        ttl_s=_TTL_S,
    )


ROUTES = [("GET", "/ui/system", show_system)]
