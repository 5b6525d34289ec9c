"""A new task: the form, its faults, and examples of programs that would create the same."""

import secrets
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

import orjson
from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.ids import parse_id
from taskmill.dashboard.pages.create_form import JSON, MORE, SAME, CreateForm, form_names
from taskmill.dashboard.pages.form_faults import Fault, fault_of, violations_of
from taskmill.dashboard.pages.form_rows import row_of
from taskmill.dashboard.pages.offers import offers
from taskmill.dashboard.pages.snippets import FILE, snippets_of
from taskmill.dashboard.view import Pairs, View
from taskmill.domain.errors import (
    InvalidInput,
    TaskmillError,
    TooLarge,
    Unavailable,
)
from taskmill.domain.grants import Scope
from taskmill.domain.task import IdempotencyKey, Task, TaskDraft
from taskmill.domain.task_fields import HIGHEST_PRIORITY
from taskmill.operations.authorisation import (
    authorise_draft,
    missing,
    permitted_contracts,
    permitted_limits,
)
from taskmill.operations.visibility import current_visibility, require_visible
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.problems import problem_json
from taskmill.wire.tasks import to_draft

_SOURCE: Final = "rest"
# In the encoding of forms, each byte takes up to three.
_ESCAPED: Final = 3
_ROOM_BYTES: Final = 65_536
_TOKEN_BYTES: Final = 12
_LONGEST_TOKEN: Final = 64


async def show_form(view: View) -> Response:
    """Show the form: empty, filled in from the query, or from a task that is to be created again."""
    query = view.query
    contracts = _contracts(view)
    like = first(query, "like")
    if like:
        task = await _task(view, parse_id(like, "query:like"))
        copied = await _copied(view, task)
        form = CreateForm.like(copied, contracts)
        form.lacks_secrets = copied is not task
        return await _page(view, form, like=like)
    return await _page(view, CreateForm.of(query, contracts))


async def create_task(view: View) -> Response:
    """Create the task and show it, or show the form again with its faults."""
    pairs = await _pairs(view)
    form = await _form_of(view, pairs)
    token = first(pairs, "token")[:_LONGEST_TOKEN] or _token()
    try:
        draft = await _read(view, form, token)
        authorise_draft(view.key, draft)
        _require_readable(draft.queue)
        task_id = (await view.context.service.creation.create(draft)).task.id
    except Unavailable:
        # The token makes it one task, however often the form is sent.
        return await _page(view, form, status=HTTPStatus.SERVICE_UNAVAILABLE, token=token)
    except TaskmillError as error:
        status = problem_json(error)[0]
        faults = [fault_of(form, one) for one in violations_of(error)]
        return await _page(view, form, status=status, faults=faults, token=token)
    return view.redirect(f"/ui/tasks/{task_id}")


async def render_payload(view: View) -> Response:
    """Render the payload part again: for another type, or in the other mode."""
    pairs = await _pairs(view)
    wanted = first(pairs, "to")
    if wanted:
        # Another mode was chosen, so the payload that is too long to show is dropped.
        pairs = [("mode", JSON) if pair == ("mode", SAME) else pair for pair in pairs]
    form = await _form_of(view, pairs)
    return await view.offload.run_if_large(form.size, partial(_render_payload, view, form, wanted))


async def render_snippets(view: View) -> Response:
    """Render the examples for what is filled in now."""
    form = await _form_of(view, await _pairs(view))
    return await view.offload.run_if_large(
        form.size, lambda: view.fragment("create_snippets.html", **_snippets(view, form))
    )


def _render_payload(view: View, form: CreateForm, wanted: str) -> Response:
    is_stuck = wanted == "fields" and not form.show_fields()
    if wanted == JSON and form.mode != JSON:
        form.show_json()
    return view.fragment("create_payload.html", form=form, faults=[], is_stuck=is_stuck)


async def _read(view: View, form: CreateForm, token: str) -> TaskDraft:
    """Return the form's draft; off the loop with a contract, as checking few bytes against one may take long."""
    read = partial(_draft, view, form, token)
    if form.value("type") in view.context.service.contracts.by_type:
        return await view.offload.run(read)
    return await view.offload.run_if_large(form.size, read)


def _draft(view: View, form: CreateForm, token: str) -> TaskDraft:
    """Return the form's draft; without an idempotency key its token becomes one."""
    body = form.body()
    if form.faults:
        raise InvalidInput(tuple(form.faults))
    encoded = orjson.dumps(body)
    if len(encoded) > view.context.settings.limits.body_bytes:
        raise TooLarge(view.context.settings.limits.body_bytes)
    limits = permitted_limits(view.key, view.context.input_limits)
    draft = to_draft(body, source=_SOURCE, limits=limits)
    if draft.idempotency is None:
        digest = sha256(encoded)
        key = f"dashboard:{token}:{digest.hexdigest()}"
        draft.idempotency = IdempotencyKey(key=key, request_hash=digest.digest())
    return draft


async def _pairs(view: View) -> Pairs:
    return await view.form(_ESCAPED * view.context.settings.limits.body_bytes + _ROOM_BYTES)


async def _copied(view: View, task: Task) -> Task:
    """Return a task without what the visitor may not see, or could read in a copy of another type."""
    return await view.context.service.masking.copy(view.key, task, is_page=True)


async def _task(view: View, task_id: UUID) -> Task:
    """Return a task that the visitor may see. Raises `TaskNotFound`."""
    task = await view.context.service.reading.get(task_id)
    require_visible(task)
    return task


def _require_readable(queue: str) -> None:
    """Check that the visitor may see a task of a queue, once it is created. Raises `ScopeMissing`."""
    visibility = current_visibility()
    if visibility is not None and not visibility.shows(queue):
        raise missing(Scope.TASKS_READ, queue)


def _contracts(view: View) -> Mapping[str, Contract]:
    """Return the contracts of the types that the visitor may create tasks of."""
    return permitted_contracts(view.key, view.context.service.contracts.by_type)


async def _form_of(view: View, pairs: Pairs) -> CreateForm:
    form = CreateForm.of(pairs, _contracts(view))
    if form.mode == SAME:
        task = await _task(view, parse_id(form.value("payload_of"), "/payload_of"))
        form.take_payload_of(await _copied(view, task))
    return form


async def _page(
    view: View,
    form: CreateForm,
    *,
    status: int = HTTPStatus.OK,
    faults: list[Fault] | None = None,
    token: str = "",
    like: str = "",
) -> Response:
    types, queues = await offers(view)
    shown = {"faults": faults or [], "like": like, "types": types, "queues": queues}
    render = partial(_render, view, form, status, token or _token(), shown)
    return await view.offload.run_if_large(form.size, render)


def _render(
    view: View, form: CreateForm, status: int, token: str, shown: Mapping[str, Any]
) -> Response:
    return view.page(
        "create.html",
        status=status,
        title=view.t("nav.create"),
        is_live=False,
        form=form,
        is_more_open=form.has_more or any(one.field in _MORE_NAMES for one in shown["faults"]),
        more=[row_of(field) for field in MORE],
        is_away=status == HTTPStatus.SERVICE_UNAVAILABLE,
        is_stuck=False,
        token=token,
        priorities=range(HIGHEST_PRIORITY, -1, -1),
        **shown,
        **_snippets(view, form),
    )


_MORE_NAMES: Final = frozenset(name for field in MORE for name in form_names(field))


def _snippets(view: View, form: CreateForm) -> dict[str, Any]:
    body = form.body()
    needs_key = view.context.sessions is not None
    return {
        "snippets": None if form.faults else snippets_of(view.base, body, needs_key=needs_key),
        "snippet_faults": form.faults,
        "file": FILE,
    }


def _token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)


ROUTES = [
    ("GET", "/ui/create", show_form),
    ("POST", "/ui/create", create_task),
    ("POST", "/ui/create/payload", render_payload),
    ("POST", "/ui/create/snippets", render_snippets),
]
