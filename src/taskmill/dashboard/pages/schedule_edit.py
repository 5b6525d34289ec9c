"""Pages that create and change schedules: the form, its faults, and the preview of ticks while it is filled in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from starlette.responses import Response

from taskmill.dashboard.form import first
from taskmill.dashboard.pages.create_form import SAME
from taskmill.dashboard.pages.form_faults import Fault, violations_of
from taskmill.dashboard.pages.form_rows import row_of
from taskmill.dashboard.pages.offers import offers
from taskmill.dashboard.pages.schedule_form import (
    CHOICES,
    TEMPLATE_MORE,
    ScheduleForm,
    SpecKind,
)
from taskmill.dashboard.pages.schedule_shown import ShownTick, require_readable, shown_ticks
from taskmill.dashboard.pages.schedules import named
from taskmill.dashboard.schedule_words import SpecText, spec_text
from taskmill.dashboard.view import Pairs, View
from taskmill.dashboard.wording import Words
from taskmill.domain.errors import InvalidInput, TaskmillError, Unavailable, Violation
from taskmill.domain.fires import ScheduleContent, StoredSchedule
from taskmill.domain.grants import Scope
from taskmill.domain.schedule_errors import ScheduleMismatch
from taskmill.domain.schedules.preview import preview
from taskmill.domain.schedules.zones import ClockChange, zone_names
from taskmill.domain.task_fields import HIGHEST_PRIORITY
from taskmill.operations.authorisation import (
    authorise_draft,
    missing,
    permitted_contracts,
    permitted_limits,
)
from taskmill.operations.schedule_changes import content_of
from taskmill.operations.visibility import current_visibility
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.fields import is_name
from taskmill.wire.preview_requests import PreviewSchedule
from taskmill.wire.problems import problem_json
from taskmill.wire.schedule_requests import checked, to_schedule

# In the encoding of forms, each byte takes up to three.
_ESCAPED: Final = 3
_ROOM_BYTES: Final = 65_536
_PREVIEWED: Final = 10
_PREVIEW: Final = "preview"
_MOST_DIGITS: Final = 18
_NAME_WORDS: Final = (
    "1 to 63 characters a-z, 0-9, '.', '_' or '-', beginning with a letter or a digit"
)
_HERE: Final = "/ui/schedules/new"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPreview:
    """The next ticks of what is filled in, and the clock changes on the way; or what is wrong with it."""

    text: SpecText | None = None
    zone: str = ""
    ticks: Sequence[ShownTick] = ()
    changes: Sequence[ClockChange] = ()
    faults: Sequence[Violation] = field(default=())


async def show_new(view: View) -> Response:
    """Show the form: empty, or filled in from the query."""
    form = ScheduleForm.of(view.query, _contracts(view))
    return await _page(view, form)


async def create_schedule(view: View) -> Response:
    """Create the schedule and show it, or show the form again with its faults."""
    pairs = await _pairs(view)
    form = ScheduleForm.of(pairs, _contracts(view))
    return await _saved(view, form, pairs, None)


async def show_edit(view: View) -> Response:
    """Show the form with what a schedule says."""
    schedule = await _schedule(view)
    spec, policy = require_readable(schedule)
    content = schedule.content
    template = await view.context.service.masking.template_copy(
        view.key, content.queue, content.type, content.task
    )
    form = ScheduleForm.like(schedule, template, _contracts(view), spec=spec, policy=policy)
    return await _page(view, form, schedule=schedule)


async def change_schedule(view: View) -> Response:
    """Replace the schedule and show it, or show the form again with its faults."""
    pairs = await _pairs(view)
    schedule = await _schedule(view)
    form = ScheduleForm.of(pairs, _contracts(view))
    form.values["schedule"] = schedule.name
    return await _saved(view, form, pairs, schedule)


async def render_preview(view: View) -> Response:
    """Render the next ticks of what is filled in now."""
    form = ScheduleForm.of(await _pairs(view), _contracts(view))
    return view.fragment("schedule_preview.html", preview=await _preview(view, form))


async def _saved(
    view: View, form: ScheduleForm, pairs: Pairs, schedule: StoredSchedule | None
) -> Response:
    if first(pairs, "do") == _PREVIEW:
        return await _page(view, form, schedule=schedule)
    try:
        name = await _put(view, form, schedule)
    except Unavailable:
        # The same again changes nothing, however often the form is sent.
        return await _page(view, form, HTTPStatus.SERVICE_UNAVAILABLE, schedule=schedule)
    except TaskmillError as error:
        found = [form.fault(one) for one in _violations(error)]
        status = problem_json(error)[0]
        return await _page(view, form, status, schedule=schedule, faults=found)
    return view.redirect(f"/ui/schedules/{name}")


async def _put(view: View, form: ScheduleForm, schedule: StoredSchedule | None) -> str:
    """Store what the form says, and return the name of the schedule."""
    name = form.value("schedule")
    if not is_name(name):
        raise InvalidInput.at("/schedule", _NAME_WORDS, "another text" if name else "nothing")
    limits = permitted_limits(view.key, view.context.input_limits)
    # Checking few bytes against a contract may take long, and so does finding rare ticks.
    draft = await view.offload.run(lambda: to_schedule(form.body(), limits=limits))
    authorise_draft(view.key, draft.draft)
    _require_readable(draft.draft.queue)
    is_new = schedule is None
    owner = None if view.key is None else view.key.owner
    new = partial(_refuse_other, content_of(draft, owner))
    await view.context.schedules.put(
        name,
        draft,
        owner=owner,
        revisions=None if is_new else _revisions(form),
        guard=new if is_new else partial(_refuse_foreign, view),
    )
    return name


def _refuse_other(content: ScheduleContent, stored: StoredSchedule) -> None:
    """Refuse to replace a schedule by a new one, unless it is what an earlier try has stored.

    One of another queue, of another key or of an app may say the same.
    """
    if stored.content._replace(owner_quotas=content.owner_quotas) != content:
        raise InvalidInput.at("/schedule", "a name that no schedule has", "one that is taken")


def _refuse_foreign(view: View, stored: StoredSchedule) -> None:
    """Refuse to replace what is a schedule of other queues by now."""
    if not view.may_schedule(Scope.TASKS_CREATE, stored.content):
        raise missing(Scope.TASKS_CREATE, stored.content.queue, stored.content.type)


def _revisions(form: ScheduleForm) -> tuple[int, ...]:
    text = form.value("revision")
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidInput.at("", "the revision that the form was made of", "none")
    return (int(text),)


def _violations(error: TaskmillError) -> Sequence[Violation]:
    if isinstance(error, ScheduleMismatch):
        expected = "the schedule as it was when this form was opened: open it again"
        return [Violation(pointer="", expected=expected, got="one that was changed since")]
    return violations_of(error)


def _require_readable(queue: str) -> None:
    """Check that the visitor may see the schedule, once it is stored. Raises `ScopeMissing`."""
    visibility = current_visibility()
    if visibility is not None and not visibility.shows(queue):
        raise missing(Scope.TASKS_READ, queue)


async def _schedule(view: View) -> StoredSchedule:
    return await view.context.schedules.get(named(view))


def _contracts(view: View) -> Mapping[str, Contract]:
    """Return the contracts of the types that the visitor may create tasks of."""
    return permitted_contracts(view.key, view.context.service.contracts.by_type)


async def _pairs(view: View) -> Pairs:
    pairs = await view.form(_ESCAPED * view.context.settings.limits.body_bytes + _ROOM_BYTES)
    # A schedule has a payload of its own, never that of another task.
    return [pair for pair in pairs if pair != ("mode", SAME)]


async def _preview(view: View, form: ScheduleForm) -> ShownPreview:
    words, now = view.words, view.context.clock.now()
    return await view.offload.run(lambda: _previewed(words, form, now))


def _previewed(words: Words, form: ScheduleForm, now: datetime) -> ShownPreview:
    try:
        _, spec = checked(PreviewSchedule, form.spec_body())
    except InvalidInput as error:
        return ShownPreview(faults=error.violations)
    found = preview(spec, now, _PREVIEWED)
    return ShownPreview(
        text=spec_text(words, spec),
        zone=spec.zone,
        ticks=shown_ticks(words, found.ticks),
        changes=found.changes,
    )


async def _page(
    view: View,
    form: ScheduleForm,
    status: int = HTTPStatus.OK,
    *,
    schedule: StoredSchedule | None = None,
    faults: Sequence[Fault] = (),
) -> Response:
    types, queues = await offers(view)
    values = {
        "title": view.t("schedule.new") if schedule is None else schedule.name,
        "types": types,
        "queues": queues,
        "schedule": schedule,
        "faults": list(faults),
        "preview": await _preview(view, form),
    }
    return await view.offload.run_if_large(form.size, lambda: _render(view, form, status, values))


def _render(view: View, form: ScheduleForm, status: int, values: Mapping[str, Any]) -> Response:
    faults: Sequence[Fault] = values["faults"]
    return view.page(
        "schedule_form.html",
        status=status,
        is_live=False,
        own=form,
        form=form.task,
        kinds=list(SpecKind),
        choices=CHOICES,
        zones=sorted(zone_names()),
        more=[row_of(one) for one in TEMPLATE_MORE],
        is_rare_open=form.has_rare(faults),
        is_more_open=form.has_rare_of_task(faults),
        is_away=status == HTTPStatus.SERVICE_UNAVAILABLE,
        is_stuck=False,
        priorities=range(HIGHEST_PRIORITY, -1, -1),
        # The navigation marks where new schedules are listed.
        path=_HERE if values["schedule"] is None else view.request.scope["path"],
        **values,
    )


ROUTES = [
    ("GET", "/ui/new-schedule", show_new),
    ("POST", "/ui/new-schedule", create_schedule),
    ("POST", "/ui/new-schedule/preview", render_preview),
    ("GET", "/ui/schedules/{name}/edit", show_edit),
    ("POST", "/ui/schedules/{name}/edit", change_schedule),
]
