"""Contracts as expensive as registration allows, payloads for these, and contracts that are refused."""

from functools import partial
from itertools import cycle

import orjson

from benchmarks.attacks.attack import Attack, Outcome, request, status_of_request

# One less than the most schemas that may apply to one value; and as many values as a check may take steps.
_DOUBLED, _VALUES = 7, 390
_SLOW_EXPRESSION, _TEXT = "^[01]*1[01]{900}$", "1" * 60_000 + "."
_NESTED = ("(" * 240 + "a" + ")" * 240, "(" * 49 + "a|b{250}" + ")*" * 49)

TYPES = {"doubled": "attack-doubled", "expression": "attack-expression"}


def contracts() -> dict[str, object]:
    """Return the contracts that must be registered before, by type."""
    defs: dict[str, object] = {"at-0": {"type": "string", "maxLength": 1}}
    for n in range(_DOUBLED):
        defs[f"at-{n + 1}"] = {"anyOf": [{"$ref": f"#/$defs/at-{n}"}, {"$ref": f"#/$defs/at-{n}"}]}
    items = {"items": {"$ref": f"#/$defs/at-{_DOUBLED}"}}
    return {
        TYPES["doubled"]: {"$defs": defs, "properties": {"a": items}},
        TYPES["expression"]: {"properties": {"a": {"pattern": _SLOW_EXPRESSION}}},
    }


def attacks() -> dict[str, Attack]:
    """Return them; all need the contracts."""
    return {
        "alternatives": _of_payload(
            "400 to 800 B for a contract with as many alternatives as may be",
            TYPES["doubled"],
            [1] * _VALUES,
        ),
        "expressions": _of_payload(
            "60 kB for an expression with 900 states", TYPES["expression"], _TEXT
        ),
        "patterns": Attack(
            title="contracts with groups within groups, which are refused",
            clients=4,
            once=partial(_next, requests=cycle([_registration(one) for one in _NESTED])),
            must_see=frozenset({"422"}),
        ),
    }


def _of_payload(title: str, kind: str, value: object) -> Attack:
    body = orjson.dumps({"name": "x", "type": kind, "payload": {"a": value}})
    return Attack(
        title=title,
        clients=4,
        once=partial(status_of_request, data=request("POST", "/tasks", body)),
        must_see=frozenset({"422"}),
    )


def _registration(pattern: str) -> bytes:
    schema = {"properties": {f"a{n}": {"pattern": pattern} for n in range(60)}}
    body = orjson.dumps({"payload_schema": schema})
    return request("PUT", "/types/attack-refused", body)


async def _next(url: str, requests: "cycle[bytes]") -> Outcome:
    return await status_of_request(url, next(requests))
