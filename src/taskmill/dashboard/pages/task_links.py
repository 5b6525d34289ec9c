"""What leads from a task elsewhere: to its trace, and to a command that creates another one."""

from typing import NamedTuple
from uuid import UUID

from taskmill.dashboard.pages.create_form import CreateForm
from taskmill.dashboard.pages.snippets import LONGEST_INLINE, snippets_of
from taskmill.dashboard.view import View
from taskmill.domain.task import Task
from taskmill.operations.authorisation import permitted_contracts
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
    contracts = permitted_contracts(view.key, view.context.service.contracts.by_type)
    form = CreateForm.like(copied, contracts)
    body = form.body()
    found = snippets_of(view.base, body, needs_key=view.context.sessions is not None)
    if form.faults or found.needs_file:
        return None
    key = "task.curl.title" if copied.payload == task.payload else "task.curl.partial"
    return CurlCommand(found.curl, view.t(key))
