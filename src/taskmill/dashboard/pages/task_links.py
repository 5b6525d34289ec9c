"""What leads from a task elsewhere: to its trace, and to a command that creates another one."""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

import orjson

from taskmill.dashboard.pages.snippets import LONGEST_INLINE, snippets_of
from taskmill.dashboard.view import View
from taskmill.domain.task import Task
from taskmill.domain.task_fields import GIVEN, Kind
from taskmill.settings.values import TRACE_ID


async def trace_link(view: View, task_id: UUID) -> str | None:
    """Return the address of the trace within which a task was created; None without a trace, or a setting."""
    link = view.context.settings.traces__link
    if not link:
        return None
    found = await view.context.service.reading.trace_id(task_id)
    return None if found is None else link.replace(TRACE_ID, found)


class CurlCommand(NamedTuple):
    """A command for curl, and what it does, for who looks at its button."""

    text: str
    title: str


async def curl_of(view: View, task: Task) -> CurlCommand | None:
    """Return a command that creates a task like this one; None if it would be too long.

    Secret values that the visitor does not see are left out, and its title says so.
    """
    if len(task.payload or "") > LONGEST_INLINE:
        return None
    copied = await view.context.service.masking.copy(view.key, task, is_page=True)
    body = dict(_given(copied))
    found = snippets_of(view.base, body, needs_key=view.context.sessions is not None)
    if found.needs_file:
        return None
    key = "task.curl.title" if copied.payload == task.payload else "task.curl.partial"
    return CurlCommand(found.curl, view.t(key))


def _given(task: Task) -> Iterator[tuple[str, object]]:
    """Yield the members of a request that creates a task like this one; its due time and expiry are left out."""
    for field in GIVEN:
        value = getattr(task, field.attribute, None)
        if value is None or field.kind is Kind.TIME:
            continue
        match field.kind:
            case Kind.OBJECT | Kind.RETRY | Kind.LABELS | Kind.POINTERS:
                yield field.name, orjson.loads(value)
            case Kind.SECONDS:
                yield field.name, value.total_seconds()
            case _:
                yield field.name, value
