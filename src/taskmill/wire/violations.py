"""Turns pydantic's errors into violations: where, what was expected, what came.

The texts are those of `Expected` next to each field; this module adds only those for unknown fields. It runs for
refused requests only, so it may be slow.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from taskmill.domain.errors import InvalidInput, Violation
from taskmill.wire.fields import Expected
from taskmill.wire.wording import describe, json_pointer, plain_name

MOST_VIOLATIONS: Final = 20
"""An error names at most this many violations."""

# With more faults than this, not all are rendered: 60,000 of them take 90 ms (measured 2026-11-28).
_MANY_FAULTS: Final = 200
_DEEPEST_MODEL: Final = 3

_OBJECT = Expected("an object")
_KEY_MARK: Final = "[key]"

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], body: object) -> Model:
    """Return the body as the model.

    Raises:
        InvalidInput: It does not fit; all that is wrong is named.
    """
    body = bounded(body, model)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise InvalidInput(tuple(violations_of(error, model, body))) from None


def bounded(body: object, model: type[BaseModel]) -> object:
    """Return a body without most of the fields that the model does not know, if there are very many.

    Each is a fault, and 80,000 of them hold the interpreter's lock for 20 ms (measured 2026-11-28).
    """
    if not isinstance(body, dict):
        return body
    few: dict[str, object] = body
    if len(body) > _MANY_FAULTS:
        few = _first_members(body, frozenset(_fields(model)))
    for name, inner in _models_within(model):
        value = few.get(name)
        if isinstance(value, dict) and len(value) > _MANY_FAULTS:
            few = {**few, name: bounded(value, inner)}
    return few


@cache
def _models_within(model: type[BaseModel]) -> tuple[tuple[str, type[BaseModel]], ...]:
    within = ((name, _inner_model(field)) for name, field in _fields(model).items())
    return tuple((name, inner) for name, inner in within if inner is not None)


def violations_of(
    error: ValidationError,
    model: type[BaseModel],
    body: object,
    *,
    depth: int = _DEEPEST_MODEL,
) -> Iterator[Violation]:
    """Yield what pydantic found wrong with a body for `model`, at most `MOST_VIOLATIONS`.

    If there are many faults, only the beginning of its objects and arrays is validated, `depth` levels deep.
    """
    if error.error_count() > _MANY_FAULTS:
        try:
            model.model_validate(_beginning(body, frozenset(_fields(model)), depth))
        except ValidationError as few:
            error = few
    faults = error.errors(include_url=False, include_context=False)
    return (_violation(fault, model) for fault in islice(faults, MOST_VIOLATIONS))


def _beginning(
    value: object, known: frozenset[str] = frozenset(), depth: int = _DEEPEST_MODEL
) -> object:
    """Return a value with only the first members of each array and object, and those that are `known`."""
    if depth and isinstance(value, list):
        return [_beginning(item, depth=depth - 1) for item in value[:MOST_VIOLATIONS]]
    if depth and isinstance(value, dict):
        first = _first_members(value, known)
        return {name: _beginning(member, depth=depth - 1) for name, member in first.items()}
    return value


def _first_members(members: dict[str, object], known: frozenset[str]) -> dict[str, object]:
    first = dict(islice(members.items(), MOST_VIOLATIONS + len(known)))
    first.update((name, members[name]) for name in known if name in members)
    return first


def _violation(detail: ErrorDetails, model: type[BaseModel]) -> Violation:
    path = list(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return _unknown_field(json_pointer(path), path, model)
    if _is_about_a_key(detail):
        path.pop()
    pointer = json_pointer(path)
    expected = _expected(model, path)
    if detail["type"] == "missing":
        return Violation(pointer=pointer, expected=expected.words, got="nothing")
    got = describe(detail["input"], reveal=expected.reveal)
    return Violation(pointer=pointer, expected=expected.words, got=got)


def _is_about_a_key(detail: ErrorDetails) -> bool:
    """Return whether it is the key of a mapping that is wrong: the path then ends with it and a mark."""
    *_, before, last = "", "", *detail["loc"]
    return last == _KEY_MARK and detail["input"] == before


def _unknown_field(pointer: str, path: list[int | str], model: type[BaseModel]) -> Violation:
    known = _fields(_model_at(model, path[:-1]))
    near = get_close_matches(plain_name(str(path[-1])), known, n=1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    expected = f"only the fields {', '.join(known)}"
    return Violation(pointer=pointer, expected=expected, got=f"an unknown field{hint}")


def _model_at(model: type[BaseModel], path: list[int | str]) -> type[BaseModel]:
    for part in path:
        if not isinstance(part, int):  # else an index in a list of models
            model = _inner_model(_fields(model)[str(part)]) or model
    return model


@cache
def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields by the names that a body has: one that is a keyword of Python is an alias."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _inner_model(field: FieldInfo) -> type[BaseModel] | None:
    candidates = (field.annotation, *get_args(field.annotation))
    found = (c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return next(found, None)


def _expected(model: type[BaseModel], path: list[int | str]) -> Expected:
    expected = _OBJECT
    for part in path:
        if isinstance(part, int):  # an index in a list of models
            expected = _OBJECT
            continue
        field = _fields(model)[part]
        expected = _words(field)
        inner = _inner_model(field)
        if inner is None:
            break
        model = inner
    return expected


def _words(field: FieldInfo) -> Expected:
    inside = (getattr(arg, "__metadata__", ()) for arg in get_args(field.annotation))
    for metadata in (field.metadata, *inside):
        for item in metadata:
            if isinstance(item, Expected):
                return item
    return _OBJECT
