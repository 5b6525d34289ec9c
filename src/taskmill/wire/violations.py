"""From pydantic's errors to violations in plain words: where, what was expected, what came.

The words come from the `Expected` next to each field; this module adds only those for unknown
fields. It runs for refused requests only, so it may be slow.
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
"""A refusal names at most so many; more would only help who sends rubbish."""

MOST_IN_PAYLOAD: Final = 100
"""The checks of a payload stop after so many, in SQL alike."""

# Of more faults than these not all are written out: 60,000 of them take 90 ms (measured 2026-11-28).
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
    """Return a body without most of the fields that the model does not know, if they are very many.

    Each is a fault, and 80,000 of them keep the interpreter's lock for 20 ms (measured 2026-11-28).
    """
    if not isinstance(body, dict):
        return body
    few: dict[str, object] = body
    if len(body) > _MANY_FAULTS:
        few = _first_members(body, MOST_VIOLATIONS, frozenset(model.model_fields))
    for name, inner in _models_within(model):
        value = few.get(name)
        if isinstance(value, dict) and len(value) > _MANY_FAULTS:
            few = {**few, name: bounded(value, inner)}
    return few


@cache
def _models_within(model: type[BaseModel]) -> tuple[tuple[str, type[BaseModel]], ...]:
    within = ((name, _inner_model(field)) for name, field in model.model_fields.items())
    return tuple((name, inner) for name, inner in within if inner is not None)


def violations_of(
    error: ValidationError,
    model: type[BaseModel],
    body: object,
    *,
    most: int = MOST_VIOLATIONS,
    depth: int = _DEEPEST_MODEL,
) -> Iterator[Violation]:
    """Yield what pydantic found wrong with a body for `model`, at most so much.

    Of many faults only those in the beginning of its objects and arrays are looked for, of `depth` levels.
    """
    if error.error_count() > _MANY_FAULTS:
        try:
            model.model_validate(_beginning(body, most, frozenset(model.model_fields), depth))
        except ValidationError as few:
            error = few
    faults = error.errors(include_url=False, include_context=False)
    return (_violation(fault, model) for fault in islice(faults, most))


def _beginning(
    value: object, most: int, known: frozenset[str] = frozenset(), depth: int = _DEEPEST_MODEL
) -> object:
    """Return a value with only the first members of each array and object, and those that are `known`."""
    if depth and isinstance(value, list):
        return [_beginning(item, most, depth=depth - 1) for item in value[:most]]
    if depth and isinstance(value, dict):
        kept = _first_members(value, most, known)
        return {name: _beginning(member, most, depth=depth - 1) for name, member in kept.items()}
    return value


def _first_members(
    members: dict[str, object], most: int, known: frozenset[str]
) -> dict[str, object]:
    kept = dict(islice(members.items(), most + len(known)))
    kept.update((name, members[name]) for name in known if name in members)
    return kept


def _violation(detail: ErrorDetails, model: type[BaseModel]) -> Violation:
    place = list(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return _unknown_field(json_pointer(place), place, model)
    if _is_about_a_key(detail):
        place.pop()
    pointer = json_pointer(place)
    expected = _expected(model, place)
    if detail["type"] == "missing":
        return Violation(pointer=pointer, expected=expected.words, got="nothing")
    got = describe(detail["input"], reveal=expected.reveal)
    return Violation(pointer=pointer, expected=expected.words, got=got)


def _is_about_a_key(detail: ErrorDetails) -> bool:
    """Tell whether it is the key of a mapping that is wrong: the place then ends with it and a mark."""
    *_, before, last = "", "", *detail["loc"]
    return last == _KEY_MARK and detail["input"] == before


def _unknown_field(pointer: str, place: list[int | str], model: type[BaseModel]) -> Violation:
    known = _model_at(model, place[:-1]).model_fields
    near = get_close_matches(plain_name(str(place[-1])), known, n=1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    expected = f"only the fields {', '.join(known)}"
    return Violation(pointer=pointer, expected=expected, got=f"an unknown field{hint}")


def _model_at(model: type[BaseModel], place: list[int | str]) -> type[BaseModel]:
    for part in place:
        if not isinstance(part, int):  # else a place in a list of models
            model = _inner_model(model.model_fields[part]) or model
    return model


def _inner_model(field: FieldInfo) -> type[BaseModel] | None:
    candidates = (field.annotation, *get_args(field.annotation))
    found = (c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return next(found, None)


def _expected(model: type[BaseModel], place: list[int | str]) -> Expected:
    expected = _OBJECT
    for part in place:
        if isinstance(part, int):  # a place in a list of models
            expected = _OBJECT
            continue
        field = model.model_fields[part]
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
