"""The audit log: what operators asked for, newest first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from starlette.responses import Response

from taskmill.dashboard.form import first, one_of
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.pages import slices
from taskmill.dashboard.view import Pairs, View
from taskmill.dashboard.wording import shortened
from taskmill.domain import identity
from taskmill.domain.audit import Actor, AuditAction, AuditEntry, AuditFilter, TargetType
from taskmill.wire.audit import details_of

_ON_A_PAGE: Final = 50
_LONGEST_DETAIL: Final = 120
_PAGES: Final[Mapping[str, str]] = {
    TargetType.TASK: "/ui/tasks/",
    TargetType.WORKER: "/ui/workers/",
    TargetType.REJECTION: "/ui/rejections/",
    TargetType.FAILURE: "/ui/failures/",
    TargetType.SCHEDULE: "/ui/schedules/",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """An entry, its time, the page of what it is about, who acted, and its details."""

    entry: AuditEntry
    at: datetime
    page: str | None
    actor: str | None
    details: str


async def show_audit_log(view: View) -> Response:
    """Show the entries that the filter admits."""
    wanted = _filter(view.query)
    before = first(view.query, "before")
    start = parse_id(before, "query:before") if before else None
    page = await view.context.service.audit.page(wanted, before=start, limit=_ON_A_PAGE)
    pairs = [(name, value) for name, value in view.query if name != "before" and value]
    return view.page(
        "audit.html",
        title=view.t("nav.audit"),
        rows=[_row(entry) for entry in page],
        actions=list(AuditAction),
        wanted=wanted,
        newer=pairs if start is not None else None,
        older=[*pairs, ("before", str(page[-1].id))] if page.has_more else None,
    )


def _filter(query: Pairs) -> AuditFilter:
    action = first(query, "action")
    return AuditFilter(
        action=AuditAction(one_of(AuditAction, action, "query:action")) if action else None,
        actor=slices.searched(query, "actor") or None,
        target=slices.searched(query, "target") or None,
    )


def _row(entry: AuditEntry) -> Row:
    path = _PAGES.get(entry.target_type or "")
    return Row(
        entry=entry,
        at=identity.created_at(entry.id),
        page=None if path is None else f"{path}{entry.target_id}",
        actor=_name(entry.origin.actor),
        details=", ".join(_shown(details_of(entry).items())),
    )


def _name(actor: Actor) -> str | None:
    return actor.name or actor.address


def _shown(details: Iterable[tuple[str, object]]) -> Iterable[str]:
    for name, value in details:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        yield f"{name}: {shortened(text, _LONGEST_DETAIL)}"


ROUTES = [("GET", "/ui/audit", show_audit_log)]
