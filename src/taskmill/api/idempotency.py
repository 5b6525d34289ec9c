"""The header Idempotency-Key of requests whose body has no place for the key."""

from typing import Final

from starlette.types import Scope

from taskmill.api.bodies import header_text
from taskmill.api.openapi import KEY_TEXT, request_header
from taskmill.api.single_tasks import IDEMPOTENCY_KEY
from taskmill.domain.errors import InvalidInput
from taskmill.wire.rules import InputLimits, key_violations

KEY_HEADER: Final = request_header(
    IDEMPOTENCY_KEY, "requests with the same key are one", **KEY_TEXT
)
"""The header in the OpenAPI document."""


def idempotency_key_of(scope: Scope, limits: InputLimits) -> str | None:
    """Return the key of a request. Raises `InvalidInput` for several of them, or one that is no key."""
    values = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not values:
        return None
    if len(values) > 1:
        raise InvalidInput.at(f"header:{IDEMPOTENCY_KEY}", "one key", "several")
    key = header_text(IDEMPOTENCY_KEY, values[0])
    if broken := tuple(key_violations(f"header:{IDEMPOTENCY_KEY}", key, limits)):
        raise InvalidInput(broken)
    return key
