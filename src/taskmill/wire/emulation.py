"""The fields in the payload of an emulated task that control its run.

They are checked when they are present; other fields are the user's own data. The worker emulates the task, and has
the defaults.
"""

from collections.abc import Mapping
from typing import Any, Final

from taskmill.domain.errors import Violation
from taskmill.domain.task_fields import DAY_S
from taskmill.wire.wording import describe

_SECONDS: Final = "a number of seconds from 0 to 86,400 (a day)"
_NUMBERS: Final[dict[str, tuple[int, str]]] = {
    "delay_s": (DAY_S, _SECONDS),
    "delay_min_s": (DAY_S, _SECONDS),
    "delay_max_s": (DAY_S, _SECONDS),
    "failure_probability": (1, "a number from 0 to 1"),
}
_RANGE: Final = frozenset({"delay_min_s", "delay_max_s"})
_CHECKED: Final = frozenset({*_NUMBERS, "seed"})


def emulation_violations(payload: Mapping[str, Any]) -> list[Violation]:
    """Return what is wrong with the emulation's fields in a payload."""
    given = _CHECKED.intersection(payload)
    found = [_wrong(name, payload[name]) for name in sorted(given) if not _fits(name, payload)]
    if not given.isdisjoint(_RANGE):
        found.extend(_contradictions(payload))
    return found


def _fits(name: str, payload: Mapping[str, Any]) -> bool:
    value = payload[name]
    kind = type(value)  # bool is an int to isinstance
    if name == "seed":
        return kind is int
    return (kind is float or kind is int) and 0 <= value <= _NUMBERS[name][0]


def _wrong(name: str, value: object) -> Violation:
    expected = _NUMBERS[name][1] if name in _NUMBERS else "a whole number"
    return Violation(pointer=f"/payload/{name}", expected=expected, got=describe(value))


def _contradictions(payload: Mapping[str, Any]) -> list[Violation]:
    expected = "either delay_s, or delay_min_s and delay_max_s"
    found = [
        Violation(pointer=f"/payload/{name}", expected=expected, got="both")
        for name in sorted(_RANGE.intersection(payload))
        if "delay_s" in payload
    ]
    ordered = all(name in payload and _fits(name, payload) for name in _RANGE)
    if ordered and payload["delay_min_s"] > payload["delay_max_s"]:
        got = describe(payload["delay_max_s"])
        expected = "a number of seconds not under delay_min_s"
        found.append(Violation(pointer="/payload/delay_max_s", expected=expected, got=got))
    return found
