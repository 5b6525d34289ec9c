"""The fields of a payload that its task names as secret, by JSON pointers (RFC 6901). Not: who may see them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias, cast

import orjson

from taskmill.domain.errors import InvalidInput, MalformedJson, Violation
from taskmill.wire.contracts.checking import FITTING, MASKED, NOTHING
from taskmill.wire.contracts.secret_fields import MASK, WHOLLY_MASKED
from taskmill.wire.strict_json import compact, parse
from taskmill.wire.wording import json_pointer

_Place: TypeAlias = tuple[Any, Any]
_LEFT_OUT: Final = object()


def masked_at(payload: str, pointers: str) -> str:
    """Return a payload with a mask in the place of what the pointers (a JSON array) lead to."""
    return _rewritten(payload, pointers, MASK)


def left_out_at(payload: str, pointers: str) -> str:
    """Return a payload without what the pointers lead to."""
    return _rewritten(payload, pointers, _LEFT_OUT)


def _rewritten(payload: str, pointers: str, replacement: object) -> str:
    wanted: list[str] = orjson.loads(pointers)
    try:
        value = parse(payload.encode())
    except (MalformedJson, InvalidInput):
        return WHOLLY_MASKED  # a payload that SQL created may have what no entry point accepts
    if "" in wanted:
        return WHOLLY_MASKED
    places = [place for pointer in wanted if (place := _place(value, _steps(pointer))) is not None]
    for within, key in places:
        within[key] = replacement
    if replacement is _LEFT_OUT:
        _leave_out(places)
    return compact(value)


def _leave_out(places: Iterable[_Place]) -> None:
    for within, key in places:
        if isinstance(within, dict):
            within.pop(key, None)
        else:
            within[:] = [one for one in within if one is not _LEFT_OUT]


def _place(value: Any, steps: Sequence[str]) -> _Place | None:  # noqa: ANN401 - any JSON value
    """Return what has the value that the steps lead to, and its name or index there; None if they lead nowhere."""
    place: _Place | None = None
    for step in steps:
        key = _key(value, step)
        if key is None:
            return None
        place, value = (value, key), value[key]
    return place


def _key(value: object, step: str) -> str | int | None:
    if isinstance(value, dict):
        return step if step in value else None
    index = _index(step) if isinstance(value, list) else None
    return index if index is not None and index < len(cast("list[object]", value)) else None


def _index(step: str) -> int | None:
    is_index = step.isascii() and step.isdecimal() and (step == "0" or step[0] != "0")
    return int(step) if is_index else None


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def pointers_in(body: Mapping[str, Any]) -> Sequence[str]:
    """Return the pointers of a request as it was sent, whatever is wrong with it."""
    sent = body.get("payload_secrets")
    return [one for one in sent if isinstance(one, str)] if isinstance(sent, list) else ()


def without_values(found: Iterable[Violation], pointers: Iterable[str]) -> Iterator[Violation]:
    """Yield violations, without what is or was in secret fields of the payload."""
    secret = [f"/payload{json_pointer(_steps(pointer))}" for pointer in pointers]
    for one in found:
        around = next((s for s in secret if f"{one.pointer}/".startswith(f"{s}/")), None)
        if around is None:
            yield one
        elif around != one.pointer:
            yield Violation(pointer=around, expected=FITTING, got=MASKED)
        else:
            yield one if one.got == NOTHING else replace(one, got=MASKED)
