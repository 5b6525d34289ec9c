"""The options of a new task's fields, one for each, as `domain/task_fields` describes it."""

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

import click

from taskmill.cli.numbers import Seconds, Whole
from taskmill.cli.parameters import LabelParam, Moment, PayloadParam
from taskmill.domain.task_fields import GIVEN, Kind, TaskField

Command = TypeVar("Command", bound=Callable[..., Any])

# What the meaning of a field does not say to those who type it.
_ADDED: Final = {
    Kind.OBJECT: "; @- reads standard input",
    Kind.RETRY: '; for example {"base_s": 5, "factor": 2}',
    Kind.LABELS: "; may be given several times",
    Kind.POINTERS: "; may be given several times",
}
_METAVARS: Final = {
    Kind.TEXT: "TEXT",
    Kind.NAME: "NAME",
    Kind.URL: "URL",
    Kind.INTEGER: "N",
    Kind.SECONDS: "S",
    Kind.POINTERS: "POINTER",
}
# Those of which each value is an option.
_MANY: Final = {Kind.LABELS: "label", Kind.POINTERS: "payload-secret"}


def task_options(*, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the options; each value comes under its field's name, None when it was not given."""

    def add(command: Command) -> Command:
        for field in reversed(GIVEN):
            if field.name != "name" and field.name not in without:
                command = _option(field)(command)
        return command

    return add


def _option(field: TaskField) -> Callable[[Command], Command]:
    option = _MANY.get(field.kind) or field.name.replace("_", "-")
    default = "" if field.default is None else f"  [default: {field.default}]"
    meaning = f"{field.given}{_ADDED.get(field.kind, '')}."
    return click.option(
        f"--{option}",
        field.name,
        type=_type(field),
        metavar=_METAVARS.get(field.kind),
        multiple=field.kind in _MANY,
        help=f"{meaning[0].upper()}{meaning[1:]}{default}",
    )


def _type(field: TaskField) -> click.ParamType[Any] | None:
    match field.kind:
        case Kind.INTEGER:
            return Whole(field.least, field.most)
        case Kind.SECONDS:
            return Seconds(field.least, field.most, min_open=field.is_over)
        case Kind.TIME:
            return Moment()
        case Kind.OBJECT | Kind.RETRY:
            return PayloadParam()
        case Kind.LABELS:
            return LabelParam()
        case _:
            return None
