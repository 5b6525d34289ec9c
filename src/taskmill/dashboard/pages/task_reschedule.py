"""Another due time, priority or queue for a task that waits: at once by a button, or by a form."""

import re
from collections.abc import Sequence
from datetime import UTC
from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.pages.create_form import moment_of
from taskmill.dashboard.pages.form_faults import Fault, violations_of
from taskmill.dashboard.pages.offers import offers
from taskmill.dashboard.pages.payload_fields import number
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import (
    InvalidInput,
    QueueLimitReached,
    TransitionRefused,
    VersionMismatch,
    Violation,
)
from taskmill.domain.grants import Scope
from taskmill.domain.lifecycle import Status
from taskmill.domain.quotas import QuotaExceeded
from taskmill.domain.task import Task
from taskmill.domain.task_fields import HIGHEST_PRIORITY
from taskmill.operations.authorisation import authorise_move, missing
from taskmill.wire.problems import problem_json
from taskmill.wire.rescheduling import to_rescheduling
from taskmill.wire.wording import describe

_AT_ONCE: Final = {"delay_s": 0}
_VERSION: Final = re.compile(r"[1-9][0-9]{0,8}")
_CHANGED: Final = Violation(
    pointer="",
    expected="a task as it was when this form was opened",
    got="one that has changed since; these are its values now",
)


async def show_form(view: View) -> Response:
    """Show the form for a task that waits."""
    return await _page(view, await _waiting(view))


async def reschedule_task(view: View) -> Response:
    """Change the task and show it, or show the form again with its faults."""
    pairs = await view.form()
    task = await view.context.service.reading.get(view.id)
    try:
        await _reschedule(view, task, pairs)
    except (InvalidInput, QueueLimitReached, QuotaExceeded) as error:
        faults = [
            Fault(field=one.pointer.strip("/"), violation=one) for one in violations_of(error)
        ]
        return await _page(view, task, pairs, faults, status=problem_json(error)[0])
    except VersionMismatch as error:
        faults = [Fault(field="", violation=_CHANGED)]
        return await _page(view, await _waiting(view), (), faults, status=problem_json(error)[0])
    return view.redirect(f"/ui/tasks/{task.id}")


async def _reschedule(view: View, task: Task, pairs: Pairs) -> None:
    body = _AT_ONCE if first(pairs, "now") else _changes(task, pairs)
    if not body:
        return
    wanted = to_rescheduling(body)

    def guard(found: Task) -> None:
        has_secrets = view.context.service.masking.has_secrets(found)
        authorise_move(view.key, found, wanted.queue, has_secrets=has_secrets)
        _require_readable(view, wanted.queue)

    await view.context.service.reschedule(
        view.id,
        wanted,
        versions=_versions(pairs),
        guard=guard,
        owner=None if view.key is None else view.key.owner,
    )


def _versions(pairs: Pairs) -> set[int] | None:
    """Return the version that the form showed; None for the button, which has none. Raises `InvalidInput`."""
    text = first(pairs, "version")
    if not text:
        return None
    if not _VERSION.fullmatch(text):
        expected = "a whole number from 1 to 999999999"
        raise InvalidInput.at("/version", expected, describe(text, reveal=True))
    return {int(text)}


def _changes(task: Task, pairs: Pairs) -> dict[str, object]:
    """Return the fields that are filled in otherwise than the form showed them."""
    shown = _shown(task)
    filled_in = {name: first(pairs, name) for name in shown}
    if moment_of(filled_in["run_at"]) == moment_of(shown["run_at"]):
        # Browsers leave out seconds that are zero; what the form does not show stays as it is.
        filled_in["run_at"] = shown["run_at"]
    changed = {name: text for name, text in filled_in.items() if text and text != shown[name]}
    body: dict[str, object] = dict(changed)
    if "run_at" in changed:
        body["run_at"] = moment_of(changed["run_at"])
    if "priority" in changed:
        body["priority"] = number(changed["priority"])
    return body


def _shown(task: Task) -> dict[str, str]:
    due = task.run_at.astimezone(UTC).replace(tzinfo=None)
    return {
        "run_at": due.isoformat(timespec="seconds"),
        "priority": str(task.priority),
        "queue": task.queue,
    }


def _require_readable(view: View, queue: str | None) -> None:
    """Check that the visitor may see the task in its new queue. Raises `ScopeMissing`."""
    key = view.key
    if queue is not None and key is not None and not key.permits(Scope.TASKS_READ, queue=queue):
        raise missing(Scope.TASKS_READ, queue)


async def _waiting(view: View) -> Task:
    """Return the task. Raises `TransitionRefused` unless it waits."""
    task = await view.context.service.reading.get(view.id)
    if task.status is not Status.NEW:
        raise TransitionRefused(view.id, task.status, "reschedule")
    return task


async def _page(
    view: View,
    task: Task,
    pairs: Pairs | tuple[()] = (),
    faults: Sequence[Fault] = (),
    *,
    status: int = HTTPStatus.OK,
) -> Response:
    _, queues = await offers(view)
    filled_in = {name: value for name, value in pairs if name in _shown(task)}
    return view.page(
        "task_reschedule.html",
        status=status,
        title=view.t("task.reschedule"),
        is_live=False,
        task=task,
        values=_shown(task) | filled_in,
        faults=list(faults),
        queues=queues,
        priorities=range(HIGHEST_PRIORITY, -1, -1),
    )


ROUTES = [
    ("GET", "/ui/tasks/{id}/reschedule", show_form),
    ("POST", "/ui/tasks/{id}/reschedule", reschedule_task),
]
