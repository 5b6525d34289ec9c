"""Reads query strings and ids in paths: strictly, with errors that name what is expected."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from difflib import get_close_matches
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes
from uuid import UUID

from pydantic import BaseModel, ValidationError
from starlette.types import Scope

from taskmill.api.refusals import Refused
from taskmill.domain.errors import InvalidInput, Violation
from taskmill.wire.violations import violations_of
from taskmill.wire.wording import describe, safe_text

Model = TypeVar("Model", bound=BaseModel)

_MOST_PARAMETERS: Final = 200
_ID_LENGTH: Final = 36
_NUMBER: Final = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_LONGEST_NUMBER: Final = 19
_UUID: Final = r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
TASK_PATTERN: Final = rf"^({_UUID}|0|[1-9][0-9]*)$"
"""Matches a task's id or number in a path."""


def check_address(scope: Scope) -> None:
    """Raise `Refused` when the path is not UTF-8; the server would replace the wrong bytes."""
    raw: bytes = scope.get("raw_path") or b""
    if b"%" in raw:
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise Refused(HTTPStatus.BAD_REQUEST, "the path is not UTF-8") from None


def refuse_query(scope: Scope) -> None:
    """Raise `InvalidInput` when a request has any query parameters."""
    if scope["query_string"]:
        _refuse_unknown(_parsed(scope), ())


def read_query(scope: Scope, model: type[Model], *, repeatable: Collection[str] = ()) -> Model:
    """Return the query as `model`; parameters that are not `repeatable` may come once.

    Raises:
        Refused: it is not UTF-8.
        InvalidInput: it has unknown or repeated parameters, or values that do not fit.
    """
    values = _parsed(scope)
    _refuse_unknown(values, model.model_fields)
    return validate_query(_singled(values, repeatable), model)


def validate_query(values: Mapping[str, object], model: type[Model]) -> Model:
    """Return parsed parameters as `model`. Raises `InvalidInput` with pointers into the query."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        violations = violations_of(error, model, values)
        raise InvalidInput(tuple(replace(v, pointer=_pointer(v)) for v in violations)) from None


def _pointer(violation: Violation) -> str:
    return "query:" + violation.pointer.split("/")[1]


def parsed_query(scope: Scope, known: Collection[str]) -> dict[str, object]:
    """Return the known parameters, each of which may come once, and ignore all others.

    Raises as `read_query` does.
    """
    values = _parsed(scope)
    return _singled({name: values[name] for name in known if name in values}, ())


def _parsed(scope: Scope) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(
            scope["query_string"].decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_PARAMETERS,
        )
    except UnicodeDecodeError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the query is not UTF-8") from None
    except ValueError:
        expected = f"at most {_MOST_PARAMETERS} parameters"
        raise InvalidInput.at("query:", expected, "more") from None
    for name, value in pairs:
        if "\x00" in value:
            raise InvalidInput.at(f"query:{name}", "text without NUL", "a NUL character")
        values.setdefault(name, []).append(value)
    return values


def _singled(values: Mapping[str, list[str]], repeatable: Collection[str]) -> dict[str, object]:
    for name, given in values.items():
        if len(given) > 1 and name not in repeatable:
            raise InvalidInput.at(f"query:{name}", "one value", f"{len(given)} values")
    return {name: given if name in repeatable else given[0] for name, given in values.items()}


def _refuse_unknown(names: Collection[str], known: Collection[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        expected = f"only the parameters {', '.join(known)}" if known else "no parameters"
        raise InvalidInput(
            tuple(
                Violation(pointer=f"query:{name}", expected=expected, got=_unknown(name, known))
                for name in unknown
            )
        )


def _unknown(name: str, known: Collection[str]) -> str:
    near = get_close_matches(safe_text(name), known, n=1)
    return "an unknown parameter" + (f" (did you mean {near[0]}?)" if near else "")


def task_number(text: str) -> int | None:
    """Return the task's number in a path, 0 for one that no task can have; None when it is not a number."""
    if _NUMBER.fullmatch(text) is None:
        return None
    return int(text) if len(text) <= _LONGEST_NUMBER else 0


def task_id(text: str, name: str = "id") -> UUID:
    """Return the task's id in a path. Raises `InvalidInput`."""
    return path_id(text, "a task's number, or its id", name)


def path_id(text: str, what: str, name: str = "id") -> UUID:
    """Return the id in a path; `what` names its kind in the error. Raises `InvalidInput`."""
    # UUID() also accepts braces, URNs and hyphens anywhere: other spellings of one address.
    if len(text) == _ID_LENGTH:
        try:
            found = UUID(text)
        except ValueError:
            pass
        else:
            if str(found) == text.lower():
                return found
    got = describe(text, reveal=True)
    raise InvalidInput.at(f"path:{name}", f"{what}: a UUID of 36 characters", got)
