"""The form for a new task: from what was filled in to the body of `POST /tasks`, and from a task back.

The body is validated as at every entry point. Only faults that keep the form from making a body are found here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from taskmill.dashboard.form import first
from taskmill.dashboard.pages.payload_fields import Field, fields_of, number
from taskmill.domain.errors import InvalidInput, MalformedJson, Violation
from taskmill.domain.task import Task
from taskmill.domain.task_fields import DEFAULT_TYPE, GIVEN, TASK_FIELDS, Kind, TaskField
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.strict_json import MAX_DEPTH, parse
from taskmill.wire.violations import MOST_VIOLATIONS

Pairs = list[tuple[str, str]]

RETRY: Final = ("base_s", "factor", "max_s", "jitter")
_FIRST: Final = ("name", "type", "payload", "queue", "priority", "run_at", "delay_s")
MORE: Final = tuple(field for field in GIVEN if field.name not in _FIRST)
"""Fields that most tasks leave empty."""

JSON: Final = "json"
FIELDS: Final = "fields"
SAME: Final = "same"
"""The payload of another task, too long to be shown in a form: `payload_of` is the task's id."""

LONGEST_SHOWN: Final = 65_536
_MARK: Final = "p."
_WITHOUT_SECONDS: Final = len("2030-01-31T09:00")


@dataclass(slots=True, kw_only=True)
class CreateForm:
    """What was filled in, by the form's names; `mode` is whether the payload is in `payload` or in fields.

    `faults` keep it from becoming a body; `lacks_secrets` is whether secret values of another task were left out.
    """

    values: dict[str, str] = field(default_factory=dict)
    payload: str = ""
    mode: str = FIELDS
    fields: tuple[Field, ...] = ()
    schema: str | None = None
    faults: list[Violation] = field(default_factory=list)
    lacks_secrets: bool = False

    @classmethod
    def of(cls, pairs: Pairs, contracts: Mapping[str, Contract]) -> "CreateForm":
        """Read what was sent."""
        form = cls(values={name: value.strip() for name, value in reversed(pairs)})
        form.payload = form.values.pop("payload", "")
        wanted = form.values.get("type") or DEFAULT_TYPE
        contract = contracts.get(wanted)
        form.schema = None if contract is None else contract.schema
        form.fields = fields_of(wanted, form.schema)
        form.mode = first(pairs, "mode") or FIELDS
        if form.mode != SAME and (not form.fields or form.mode != FIELDS):
            form.mode = JSON
        return form

    @classmethod
    def like(cls, task: Task, contracts: Mapping[str, Contract]) -> "CreateForm":
        """Fill in what creates a task like this one; its due time and expiry are left out."""
        pairs = [
            pair for field in GIVEN if field not in _NOT_COPIED for pair in _filled_in(field, task)
        ]
        form = cls.of(pairs, contracts)
        form.mode = JSON
        if task.payload is not None and len(task.payload) > LONGEST_SHOWN:
            form.take_payload_of(task)
            return form
        form.payload = "" if task.payload is None else indented(task.payload)
        form.show_fields()
        return form

    def take_payload_of(self, task: Task) -> None:
        """Use the payload of a task."""
        self.values["payload_of"] = str(task.id)
        self.mode, self.payload = SAME, task.payload or ""

    def show_fields(self) -> bool:
        """Show the payload in fields, if they can hold all of it; return whether they can."""
        found, faults = self._written()
        if faults or (found is not None and not isinstance(found, dict)) or not self.fields:
            return False
        by_name = {one.name: one for one in self.fields}
        texts = {
            name: by_name[name].text(value) if name in by_name else None
            for name, value in (found or {}).items()
        }
        if None in texts.values():
            return False
        self.values |= {_MARK + name: text for name, text in texts.items() if text is not None}
        self.mode, self.payload = FIELDS, ""
        return True

    def show_json(self) -> None:
        """Show the payload as JSON."""
        found = self._filled()
        self.payload = orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if found else ""
        self.mode = JSON

    def value(self, name: str) -> str:
        """Return the text of a field."""
        return self.values.get(name, "")

    def payload_value(self, name: str) -> str:
        """Return the text of a payload field."""
        return self.values.get(_MARK + name, "")

    @property
    def size(self) -> int:
        """How many characters were filled in."""
        return len(self.payload) + sum(map(len, self.values.values()))

    @property
    def has_more(self) -> bool:
        """Whether any field is filled in that most tasks leave empty."""
        names = (name for field in MORE for name in form_names(field))
        return any(map(self.value, names))

    def body(self) -> dict[str, Any]:
        """Return the body of the request, and set `faults`."""
        self.faults = []
        members = {field.name: self._member(field) for field in GIVEN}
        # Blank fields are left out; an explicit empty payload and zero are not.
        return {
            name: value
            for name, value in members.items()
            if value not in ("", None) and (value != {} or name == "payload")
        }

    def _member(self, field: TaskField) -> object:
        """Return what was filled in for a field, as it goes into the body."""
        match field.kind:
            case Kind.OBJECT:
                return self._payload()
            case Kind.LABELS | Kind.POINTERS:
                return self._labels() if field.kind is Kind.LABELS else self._lines(field.name)
            case Kind.RETRY:
                return self._retry()
            case Kind.INTEGER | Kind.SECONDS:
                return number(self.value(field.name))
            case Kind.TIME:
                return moment_of(self.value(field.name))
            case _:
                return self.value(field.name)

    def _payload(self) -> object:
        if self.mode == FIELDS:
            return self._filled() or None
        found, faults = self._written()
        self.faults += faults
        return found

    def _retry(self) -> dict[str, object]:
        texts = ((name, self.value(f"retry_{name}")) for name in RETRY)
        return {name: number(text) for name, text in texts if text}

    def _filled(self) -> dict[str, object]:
        texts = ((one, self.payload_value(one.name)) for one in self.fields)
        return {one.name: one.value(text) for one, text in texts if text}

    def _written(self) -> tuple[object, Sequence[Violation]]:
        if not self.payload:
            return None, ()
        try:
            return parse(self.payload.encode(), max_depth=MAX_DEPTH - 1), ()
        except MalformedJson as error:
            return None, (Violation(pointer="/payload", expected="JSON", got=error.message),)
        except InvalidInput as error:
            return None, [one.below("/payload") for one in error.violations]

    def _lines(self, name: str) -> list[str] | None:
        return [text for line in self.value(name).splitlines() if (text := line.strip())] or None

    def _labels(self) -> dict[str, str]:
        labels: dict[str, str] = {}
        for line in self.value("labels").splitlines():
            key, mark, value = (part.strip() for part in line.partition("="))
            if not line.strip():
                continue
            if not mark or not key or key in labels:
                if len(self.faults) >= MOST_VIOLATIONS:
                    break
                expected = "a line key=value for each label, and one value for each key"
                self.faults.append(
                    Violation(pointer="/labels", expected=expected, got="another line")
                )
                continue
            labels[key] = value
        return labels


_NOT_COPIED: Final = tuple(TASK_FIELDS[name] for name in ("payload", "run_at", "expires_at"))


def form_names(field: TaskField) -> tuple[str, ...]:
    """Return the form's names for a field; a policy has one for each part."""
    return tuple(f"retry_{part}" for part in RETRY) if field.kind is Kind.RETRY else (field.name,)


def _filled_in(field: TaskField, task: Task) -> Iterator[tuple[str, str]]:
    """Yield the form's texts for a field of a task, by the form's names."""
    value = getattr(task, field.attribute, None)
    if value is None:
        return
    match field.kind:
        case Kind.RETRY | Kind.LABELS | Kind.POINTERS:
            value = orjson.loads(value)
        case Kind.SECONDS:
            value = value.total_seconds()
    yield from form_texts(field, value)


def form_texts(field: TaskField, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any field's
    """Yield the form's texts for a field's value as requests have it, by the form's names."""
    match field.kind:
        case Kind.RETRY:
            for part, seconds in value.items():
                yield f"retry_{part}", _text(seconds)
        case Kind.LABELS:
            yield field.name, "\n".join(f"{k}={v}" for k, v in value.items())
        case Kind.POINTERS:
            yield field.name, "\n".join(value)
        case Kind.SECONDS:
            yield field.name, _text(value)
        case _:
            yield field.name, str(value)


def indented(content: str) -> str:
    """Return JSON text with a line for each member."""
    return orjson.dumps(orjson.loads(content), option=orjson.OPT_INDENT_2).decode()


def _text(value: float) -> str:
    return str(value).removesuffix(".0")


def moment_of(text: str) -> str:
    """Complete a time from a browser's field, which is in UTC; another text stays as it is."""
    if len(text) == _WITHOUT_SECONDS and text[10] == "T":
        return f"{text}:00Z"
    return f"{text}Z" if len(text) == _WITHOUT_SECONDS + 3 and text[10] == "T" else text
