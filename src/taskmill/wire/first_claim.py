"""Validates the payload of a task that `create_task` has made in SQL: that is left to the first claim."""

from collections.abc import Mapping
from typing import Any, cast

from taskmill.domain.errors import InvalidInput, MalformedJson
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.rules import payload_violations
from taskmill.wire.strict_json import parse
from taskmill.wire.violations import MOST_VIOLATIONS


def payload_problem(
    type: str,  # noqa: A002 - as everywhere
    payload: str | None,
    contracts: Mapping[str, Contract],
) -> InvalidInput | MalformedJson | None:
    """Return the error with which a request with this payload (JSON text) would be refused; None if it fits."""
    try:
        value = None if payload is None else parse(payload.encode(errors="surrogatepass"))
    except MalformedJson as error:
        return error
    except InvalidInput as error:
        return InvalidInput(tuple(one.below("/payload") for one in error.violations))
    violations = payload_violations(type, cast("dict[str, Any] | None", value), contracts)
    return InvalidInput(tuple(violations[:MOST_VIOLATIONS])) if violations else None
