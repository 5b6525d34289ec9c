"""Validates the payload of a task that `create_task` has made in SQL: that is left to the first claim."""

from collections.abc import Mapping
from typing import Any, cast

import orjson

from taskmill.domain.errors import InvalidInput, MalformedJson
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.payload_secrets import pointers_in, without_values
from taskmill.wire.rules import payload_violations
from taskmill.wire.strict_json import parse
from taskmill.wire.violations import MOST_VIOLATIONS


def payload_problem(
    type: str,  # noqa: A002 - as everywhere
    payload: str | None,
    contracts: Mapping[str, Contract],
    secrets: str | None = None,
) -> InvalidInput | MalformedJson | None:
    """Return the error with which a request with this payload (JSON text) would be refused; None if it fits.

    `secrets` are the task's own (JSON text).
    """
    try:
        value = None if payload is None else parse(payload.encode(errors="surrogatepass"))
    except MalformedJson as error:
        return error
    except InvalidInput as error:
        return InvalidInput(tuple(one.below("/payload") for one in error.violations))
    violations = payload_violations(type, cast("dict[str, Any] | None", value), contracts)[
        :MOST_VIOLATIONS
    ]
    pointers = pointers_in({"payload_secrets": None if secrets is None else orjson.loads(secrets)})
    shown = tuple(without_values(violations, pointers))
    return InvalidInput(shown) if shown else None
