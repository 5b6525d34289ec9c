"""New names of queues and of types, until the limit is reached and beyond."""

from functools import partial
from itertools import count

import orjson

from benchmarks.attacks.attack import Attack, Outcome, request, status_of_request

_AT_ONCE = 100
_LATER_S = 3600


async def _next(url: str, field: str, numbers: "count[int]") -> Outcome:
    tasks = [
        {"name": "x", "delay_s": _LATER_S, field: f"new-{next(numbers)}"} for _ in range(_AT_ONCE)
    ]
    return await status_of_request(url, request("POST", "/tasks/batch", orjson.dumps(tasks)))


def _of(field: str, title: str) -> Attack:
    return Attack(
        title=title,
        clients=4,
        once=partial(_next, field=field, numbers=count()),
        # All names are used up within the attack, and it goes on.
        must_see=frozenset({"201", "422"}),
    )


ATTACKS = {
    "queue names": _of("queue", "arrays of 100 tasks, each of a new queue"),
    "type names": _of("type", "arrays of 100 tasks, each of a new type"),
}
