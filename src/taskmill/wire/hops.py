"""Counts how far requests and tasks follow from each other, so that a loop of them ends.

Each request of Taskmill has the header, with one more than its task's count; who creates a task because of it
passes the header on, and the task keeps the count as a label. Tasks that nothing caused have no such label.
"""

import re
from collections.abc import Sequence
from typing import Final

import orjson

from taskmill.domain.errors import InvalidInput, Violation
from taskmill.domain.task import TaskDraft
from taskmill.wire.strict_json import compact
from taskmill.wire.wording import describe

HEADER: Final = "Taskmill-Hop"
LABEL: Final = "taskmill.hop"
DEFAULT_LIMIT: Final = 5

_COUNT: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_QUOTED: Final = f'"{LABEL}"'


def hop_of(labels: str) -> int:
    """Return the count of a task with these labels (JSON); 0 if it has none, or none that is a number."""
    if _QUOTED not in labels:
        return 0
    text = orjson.loads(labels).get(LABEL, "")
    return int(text) if _COUNT.fullmatch(text) else 0


def hop_headers(labels: str) -> dict[str, str]:
    """Return the header of a request that is about a task with these labels."""
    return {HEADER: str(hop_of(labels) + 1)}


def hop_in(sent: Sequence[bytes], limit: int) -> int:
    """Return the count in the headers of a request that creates tasks; 0 without any.

    Raises:
        InvalidInput: the count is over the limit, or no number, or there are several.
    """
    if not sent:
        return 0
    text = sent[0].decode("latin-1") if len(sent) == 1 else f"{len(sent)} of them"
    violation = hop_violation(f"header:{HEADER}", text, limit)
    if violation is not None:
        raise InvalidInput((violation,))
    return int(text)


def hop_violation(pointer: str, text: str, limit: int) -> Violation | None:
    """Return what is wrong with a count; None if nothing is."""
    if _COUNT.fullmatch(text) is None:
        expected = f"a whole number from 0 to {limit}"
        return Violation(pointer=pointer, expected=expected, got=describe(text, reveal=True))
    if int(text) <= limit:
        return None
    expected = (
        f"at most {limit} (TASKMILL_LIMITS__HOPS): requests and tasks seem to follow from each other in a loop. "
        "Mend what creates tasks because of webhooks, callbacks or pushes"
    )
    return Violation(pointer=pointer, expected=expected, got=text)


def count_hop(draft: TaskDraft, hop: int) -> None:
    """Have the task keep the count of the request that creates it."""
    if hop:
        draft.labels = compact({**orjson.loads(draft.labels), LABEL: str(hop)})
