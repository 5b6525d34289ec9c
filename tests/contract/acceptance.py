"""Whether the service accepts what its document allows.

JSON Schema can't say everything. What it leaves open is listed here by the words of the refusal; any other refusal
of a request that fits the document is a fault of one of the two.
"""

import re
from typing import Any

from schemathesis import Case
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

# Earlier requests decide on cursors and keys; the rules of contracts are a page of their own.
_OPAQUE = frozenset(
    {
        "/problems/bad-cursor",
        "/problems/contract-refused",
        "/problems/idempotency-conflict",
        "/problems/queue-limit-reached",
        "/problems/schedule-mismatch",
        "/problems/version-mismatch",
    }
)
_EXACT_BELOW = 2**53
_NOT_STRICT = "an integer does not fit in 64 bits"
_UNSAYABLE = re.compile(
    "of the years 2000 to 2100|text without NUL|printable characters|bytes of JSON"
    # Between fields: an empty filter, two ways to set a time, half of a report.
    "|at least one of |share, message or both|either .* or |nothing, or a window, too"
    "|the same key as in the header|one value for each key|nothing, with permanent|a time after "
    "|a time before the task expires"
    # What the action of a job goes with.
    "|only [a-z_, ]+ to [a-z]+|nothing, for a cancel"
    # When a schedule has ticks, if it has any.
    "|a cron expression: |one that matches a date|one of cron, every and at|no anchor without every|IANA name"
    "|ISO 8601 duration|a second or more|a tick from starts_at|the shortest distance of two ticks"
    "|a cron expression that matches a date|from `from` on|10 years of `from`|for `paused: false`"
)
_TEMPLATE = "/task/"
_PAYLOAD = re.compile(r"(?:/(?P<index>[0-9]+))?/payload(?:/|$)")
_BUILT_IN = (None, "emulate", "http")


def what_fits_is_accepted(
    context: CheckContext, response: Response, case: Case[Any]
) -> bool | None:
    """Fail when a request that fits the document is refused for a rule that the document could have had."""
    if response.status_code in {400, 412, 422} and is_undocumentable(response.json(), case.body):
        return None
    return checks.positive_data_acceptance(context, response, case)


def what_does_not_fit_is_refused(
    context: CheckContext, response: Response, case: Case[Any]
) -> bool | None:
    """Fail when a request that does not fit the document is accepted; its size may be refused before that."""
    if response.status_code in {412, 413}:
        return None
    return checks.negative_data_rejection(context, response, case)


def with_whole_numbers(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Write 3.0 as 3: both are integers to JSON Schema, and only the second to most who read JSON strictly."""
    if isinstance(value, dict):
        return {key: with_whole_numbers(one) for key, one in value.items()}
    if isinstance(value, list):
        return [with_whole_numbers(one) for one in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_BELOW
    return int(value) if is_whole else value


def is_undocumentable(problem: dict[str, Any], body: object) -> bool:
    """Return whether a request with this body was refused for what JSON Schema can't say."""
    if problem.get("type") in _OPAQUE or problem.get("detail") == _NOT_STRICT:
        return True
    # The legacy API's refusals have one text.
    errors = problem.get("errors") or [{"expected": problem.get("detail", "")}]
    return all(
        _UNSAYABLE.search(error["expected"])
        or error.get("pointer", "").startswith(_TEMPLATE)
        or _is_by_contract(error.get("pointer", ""), body)
        for error in errors
    )


def _is_by_contract(pointer: str, body: object) -> bool:
    """Return whether the payload of a type was refused that an earlier request may have given a contract."""
    found = _PAYLOAD.match(pointer)
    if found is None:
        return False
    task = body[int(found["index"])] if found["index"] and isinstance(body, list) else body
    return isinstance(task, dict) and task.get("type") not in _BUILT_IN
