"""The form for a schedule: from what was filled in to the body of `PUT /schedules/{name}`, and back.

The body is validated as at every entry point. Only faults that keep the form from making a body are found here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from taskmill.dashboard.pages.create_form import (
    JSON,
    MORE,
    CreateForm,
    Pairs,
    form_names,
    form_texts,
    indented,
    moment_of,
)
from taskmill.dashboard.pages.form_faults import Fault, fault_of
from taskmill.dashboard.pages.payload_fields import number
from taskmill.dashboard.schedule_words import input_time
from taskmill.domain.errors import InvalidInput, Violation
from taskmill.domain.fires import StoredSchedule
from taskmill.domain.schedules.spec import CatchUp, Fold, Gap, Overlap, ScheduleSpec, TickPolicy
from taskmill.domain.task_fields import GIVEN, TaskField
from taskmill.wire.basics import format_duration, format_timestamp
from taskmill.wire.contracts.contract import Contract

_OWN_TIMES: Final = frozenset({"run_at", "delay_s", "expires_at", "idempotency_key"})

TEMPLATE_MORE: Final = tuple(one for one in MORE if one.name not in _OWN_TIMES)
"""Fields of a template that most schedules leave empty."""

_TASK: Final = "/task"


class SpecKind(StrEnum):
    """How a form says when a schedule has ticks."""

    CRON = "cron"
    EVERY = "every"
    AT = "at"


CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "overlap": tuple(Overlap),
    "catch_up": tuple(CatchUp),
    "gap": tuple(Gap),
    "fold": tuple(Fold),
}
"""The fields that are one of a few values, each with these; the first is the default, but for `catch_up`."""

_TIMES: Final = ("starts_at", "ends_at")
_RARE: Final = ("anchor", *_TIMES, "jitter_s", "gap", "fold", "within", "most")


@dataclass(slots=True, kw_only=True)
class ScheduleForm:
    """What was filled in: `values` by the form's names, and the form of the task that it makes."""

    values: dict[str, str]
    task: CreateForm

    @classmethod
    def of(cls, pairs: Pairs, contracts: Mapping[str, Contract]) -> "ScheduleForm":
        """Read what was sent."""
        values = {name: value.strip() for name, value in reversed(pairs)}
        return cls(values=values, task=CreateForm.of(pairs, contracts))

    @classmethod
    def like(
        cls,
        schedule: StoredSchedule,
        template: str,
        contracts: Mapping[str, Contract],
        *,
        spec: ScheduleSpec,
        policy: TickPolicy,
    ) -> "ScheduleForm":
        """Fill in what a schedule says, with its template as the reader may copy it."""
        body: dict[str, Any] = orjson.loads(template)
        task = CreateForm.of(list(_task_texts(body)), contracts)
        task.mode = JSON
        payload = body.get("payload")
        task.payload = "" if payload is None else indented(orjson.dumps(payload).decode())
        task.show_fields()
        values = {
            "schedule": schedule.name,
            "revision": str(schedule.revision),
            **_spec_texts(spec),
            **_policy_texts(policy),
        }
        task.lacks_secrets = template != schedule.content.task
        return cls(values=values, task=task)

    @property
    def kind(self) -> SpecKind:
        """How it says when there are ticks."""
        wanted = self.value("kind")
        if wanted in set(SpecKind):
            return SpecKind(wanted)
        given = (one for one in SpecKind if self.value(one))
        return next(given, SpecKind.CRON)

    @property
    def size(self) -> int:
        """How many characters were filled in."""
        return self.task.size + sum(map(len, self.values.values()))

    def value(self, name: str) -> str:
        """Return the text of a field."""
        return self.values.get(name, "")

    def has_rare(self, faults: Sequence[Fault]) -> bool:
        """Return whether anything is filled in, or wrong, that most schedules leave as it is."""
        wrong = {fault.field for fault in faults}
        return any(name in wrong or self._is_changed(name) for name in _RARE)

    def has_rare_of_task(self, faults: Sequence[Fault]) -> bool:
        """Return the same of its task."""
        wrong = {fault.field for fault in faults}
        names = [name for one in TEMPLATE_MORE for name in form_names(one)]
        return any(name in wrong or self.task.value(name) for name in names)

    def spec_body(self) -> dict[str, Any]:
        """Return what the request says about when there are ticks."""
        body: dict[str, object] = {name: self.value(name) for name in ("zone", "gap", "fold")}
        body |= {name: moment_of(self.value(name)) for name in _TIMES}
        body["jitter_s"] = number(self.value("jitter_s"))
        if self.kind is SpecKind.EVERY:
            body["anchor"] = moment_of(self.value("anchor"))
        return {self.kind: self._when(), **_given(body)}

    def body(self) -> dict[str, Any]:
        """Return the body of the request. Raises `InvalidInput` when the form makes none.

        A task without a name has that of the schedule.
        """
        task = {"name": self.value("schedule"), **self.task.body()}
        if self.task.faults:
            raise InvalidInput(tuple(one.below(_TASK) for one in self.task.faults))
        members: dict[str, object] = {
            name: self.value(name) for name in ("overlap", "catch_up", "within")
        }
        members["most"] = number(self.value("most"))
        return {**self.spec_body(), **_given(members), "task": task}

    def fault(self, violation: Violation) -> Fault:
        """Find the form's element that a pointer is about."""
        head, _, rest = violation.pointer.removeprefix("/").partition("/")
        if head == "task":
            of_task = Violation(
                pointer=f"/{rest}" if rest else "", expected=violation.expected, got=violation.got
            )
            return Fault(field=fault_of(self.task, of_task).field, violation=violation)
        return Fault(field=head, violation=violation)

    def _when(self) -> object:
        text = self.value(self.kind)
        if self.kind is SpecKind.AT:
            return [line.strip() for line in text.splitlines() if line.strip()]
        return text

    def _is_changed(self, name: str) -> bool:
        return self.value(name) not in {"", _DEFAULTS.get(name)}


_DEFAULT_POLICY: Final = TickPolicy()
_DEFAULTS: Final = {
    "gap": Gap.END,
    "fold": Fold.FIRST,
    "within": format_duration(_DEFAULT_POLICY.within),
    "most": str(_DEFAULT_POLICY.most),
    "jitter_s": "0",
}


def _spec_texts(spec: ScheduleSpec) -> dict[str, str]:
    every = None if spec.every is None else format_duration(spec.every)
    kind = SpecKind.CRON if spec.cron else SpecKind.EVERY if every else SpecKind.AT
    times = {"anchor": spec.anchor, "starts_at": spec.starts_at, "ends_at": spec.ends_at}
    return {
        "kind": kind,
        "cron": spec.cron or "",
        "every": every or "",
        "at": "\n".join(map(format_timestamp, spec.at)),
        **{name: "" if at is None else input_time(at) for name, at in times.items()},
        "zone": spec.zone,
        "gap": spec.gap,
        "fold": spec.fold,
        "jitter_s": f"{spec.jitter_s:g}",
    }


def _policy_texts(policy: TickPolicy) -> dict[str, str]:
    return {
        "overlap": policy.overlap,
        "catch_up": policy.catch_up,
        "within": format_duration(policy.within),
        "most": str(policy.most),
    }


def _task_texts(body: Mapping[str, Any]) -> Pairs:
    """Return the form's texts for a template, by the form's names, without its payload."""
    return [
        pair
        for one in _TEMPLATE
        if body.get(one.name) is not None
        for pair in form_texts(one, body[one.name])
    ]


_TEMPLATE: Final[Sequence[TaskField]] = tuple(
    one for one in GIVEN if one.name not in _OWN_TIMES and one.name != "payload"
)


def _given(members: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value not in ("", None)}
