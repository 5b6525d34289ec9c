"""The rules of a request to create a task that concern several fields, or a setting.

They check the body as it was sent, so that their violations are reported together with those of single fields.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from taskmill.domain.errors import Violation
from taskmill.domain.task_fields import DEFAULT_TYPE
from taskmill.wire import hops
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.emulation import emulation_violations
from taskmill.wire.fields import parse_timestamp
from taskmill.wire.push import TYPE as PUSH, missing_payload, push_violations
from taskmill.wire.wording import describe

_HEADER: Final = "header:Idempotency-Key"
_FIELD: Final = "/idempotency_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLimits:
    """The limits of a request to create a task that are not fixed: settings, and the current contracts of types.

    With `is_quick`, a payload whose check takes long raises `TakesLong`.
    """

    labels: int = 64
    hops: int = hops.DEFAULT_LIMIT
    idempotency_key_chars: int = 255
    contracts: Mapping[str, Contract] = field(default_factory=dict)
    is_quick: bool = False


DEFAULT_LIMITS: Final = InputLimits()


def broken_rules(
    body: Mapping[str, Any], header_key: str | None, limits: InputLimits
) -> list[Violation]:
    """Return the violations of rules that concern several fields; `header_key` is the key in the header."""
    found: list[Violation] = []
    for name, value in body.items():
        if name in _RULES and value is not None:
            found.extend(_RULES[name](body, limits))
    if header_key is not None:
        found.extend(_header_key(body, header_key, limits))
    return found


def _labels(body: Mapping[str, Any], limits: InputLimits) -> Iterator[Violation]:
    labels = body["labels"]
    if not isinstance(labels, dict):
        return
    if isinstance(hop := labels.get(hops.LABEL), str):
        violation = hops.hop_violation(f"/labels/{hops.LABEL}", hop, limits.hops)
        if violation is not None:
            yield violation
    if len(labels) > limits.labels:
        expected = f"at most {limits.labels} labels"
        yield Violation(pointer="/labels", expected=expected, got=f"{len(labels)} labels")


def _delay(body: Mapping[str, Any], _: InputLimits) -> Iterator[Violation]:
    if body.get("run_at") is not None:
        yield Violation(pointer="/delay_s", expected="either run_at or delay_s", got="both")


def _expiry(body: Mapping[str, Any], _: InputLimits) -> Iterator[Violation]:
    start, end = _time(body.get("run_at")), _time(body["expires_at"])
    if start is not None and end is not None and end <= start:
        got = describe(body["expires_at"], reveal=True)
        yield Violation(pointer="/expires_at", expected="a time after run_at", got=got)


def _time(value: object) -> datetime | None:
    try:
        return parse_timestamp(value)
    except ValueError:
        return None


def _payload(body: Mapping[str, Any], _: InputLimits) -> Iterable[Violation]:
    if not isinstance(body["payload"], dict):
        return ()
    return _of_built_in(body.get("type", DEFAULT_TYPE), body["payload"])


def _of_built_in(task_type: object, payload: Mapping[str, Any]) -> Sequence[Violation]:
    if task_type == DEFAULT_TYPE:
        return emulation_violations(payload)
    return push_violations(payload) if task_type == PUSH else ()


def payload_violations(
    task_type: str, payload: Mapping[str, Any] | None, contracts: Mapping[str, Contract]
) -> Sequence[Violation]:
    """Return all that is wrong with the payload of a task of this type, up to a limit."""
    if task_type == PUSH and payload is None:
        return [missing_payload()]
    contract = contracts.get(task_type)
    if contract is not None:
        return contract.violations(payload)
    return () if payload is None else _of_built_in(task_type, payload)


def _type(body: Mapping[str, Any], _: InputLimits) -> Iterator[Violation]:
    if body["type"] == PUSH and body.get("payload") is None:
        yield missing_payload()


def _body_key(body: Mapping[str, Any], limits: InputLimits) -> Iterator[Violation]:
    if isinstance(body["idempotency_key"], str):
        yield from key_violations(_FIELD, body["idempotency_key"], limits)


def _header_key(
    body: Mapping[str, Any], header_key: str, limits: InputLimits
) -> Iterator[Violation]:
    yield from key_violations(_HEADER, header_key, limits)
    body_key = body.get("idempotency_key")
    if body_key is not None and body_key != header_key:
        expected = "the same key as in the header Idempotency-Key, or only one of them"
        yield Violation(pointer=_FIELD, expected=expected, got="another key")


def key_violations(pointer: str, key: str, limits: InputLimits) -> Iterator[Violation]:
    """Yield what is wrong with an idempotency key that came at `pointer`."""
    if not 0 < len(key) <= limits.idempotency_key_chars or not key.isprintable():
        expected = f"1 to {limits.idempotency_key_chars} printable characters"
        got = describe(key) if key.isprintable() else "unprintable characters"
        yield Violation(pointer=pointer, expected=expected, got=got)


_RULES: Final[dict[str, Callable[[Mapping[str, Any], InputLimits], Iterable[Violation]]]] = {
    "delay_s": _delay,
    "expires_at": _expiry,
    "labels": _labels,
    "payload": _payload,
    "type": _type,
    "idempotency_key": _body_key,
}
