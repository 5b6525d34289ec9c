"""The fields of a task as elements of a form."""

from dataclasses import dataclass
from typing import Final

from taskmill.dashboard.pages.create_form import RETRY
from taskmill.dashboard.texts import DEFAULT, catalogue
from taskmill.domain.task_fields import Kind, TaskField

_LONGEST_LINE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A field of the form."""

    name: str
    kind: Kind
    placeholder: str
    is_long: bool
    has_hint: bool
    parts: tuple[str, ...] = RETRY


def row_of(field: TaskField) -> Row:
    """Return the element for a field of a task."""
    return Row(
        name=field.name,
        kind=field.kind,
        placeholder="" if field.default is None else str(field.default),
        is_long=field.kind in (Kind.LABELS, Kind.POINTERS)
        or (field.kind is Kind.TEXT and (field.most or 0) > _LONGEST_LINE),
        has_hint=f"field.{field.name}.hint" in catalogue(DEFAULT),
    )
