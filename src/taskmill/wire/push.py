"""The payload of a task of type `http`: the request that a worker is to send, and which responses are a success.

Unknown fields are refused: a misspelt one would make another request than was meant. The worker sends it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from taskmill.domain.errors import Violation
from taskmill.wire import fields
from taskmill.wire.fields import Expected
from taskmill.wire.urls import Url
from taskmill.wire.violations import MOST_VIOLATIONS, violations_of

TYPE: Final = "http"
MOST_HEADERS: Final = 50
LONGEST_HEADER: Final = 4096

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_VALUE = re.compile(r"[ -~]*", re.ASCII)
_RESERVED: Final = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "keep-alive", "te"),
        *("trailer", "upgrade", "expect", "accept-encoding", "content-encoding", "traceparent"),
    }
)
_RESERVED_PREFIXES: Final = ("proxy-", "webhook-", "taskmill-")
_FIRST_STATUS: Final = 200
_LAST_STATUS: Final = 599
_CLASS = re.compile(r"[2-5]xx")
_STATUSES: Final = "a list of up to 100 statuses from 200 to 599, or of classes such as 5xx"
_METHODS: Final = ("POST", "PUT", "PATCH", "DELETE", "GET", "HEAD")


def _checked_headers(headers: dict[str, str]) -> dict[str, str]:
    if len(headers) > MOST_HEADERS or len({name.lower() for name in headers}) < len(headers):
        raise ValueError("too many, or one twice")
    for name, value in headers.items():
        if not (
            is_allowed_header(name) and len(value) <= LONGEST_HEADER and _VALUE.fullmatch(value)
        ):
            raise ValueError("not a header")
    return headers


def is_allowed_header(name: str) -> bool:
    """Return whether a payload may have a header: it is valid, and not one that Taskmill or HTTP sets."""
    lower = name.lower()
    is_reserved = lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES)
    return _TOKEN.fullmatch(name) is not None and not is_reserved


def _checked_statuses(statuses: list[Any]) -> list[int | str]:
    for status in statuses:
        is_one = type(status) is int and _FIRST_STATUS <= status <= _LAST_STATUS
        if not (is_one or (isinstance(status, str) and _CLASS.fullmatch(status))):
            raise ValueError("not a status")
    return statuses


_EXPECT: Final = cast("list[Any]", ("2xx",))
_RETRY_ON: Final = cast("list[Any]", (408, 425, 429, "5xx"))

Headers = Annotated[
    dict[str, str],
    AfterValidator(_checked_headers),
    Expected(
        f"an object of at most {MOST_HEADERS} headers, each a name and up to 4,096 printable ASCII characters; "
        "not those that HTTP itself needs, nor webhook-, taskmill- or proxy-"
    ),
]
Statuses = Annotated[
    list[Any],
    Field(max_length=100),
    AfterValidator(_checked_statuses),
    Expected(_STATUSES),
]


class PushPayload(BaseModel):
    """A request to an endpoint. Its body is `body` (as JSON), `text`, or empty.

    Its default statuses are tuples: pydantic would copy a list for each payload.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    url: Url = Field(description="where to")
    method: Annotated[
        Literal["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"],
        Expected(f"one of {', '.join(_METHODS)}", reveal=True),
    ] = "POST"
    headers: Headers = Field(default_factory=dict)
    body: Annotated[Any, Expected("any JSON")] = Field(
        default=None, description="sent as application/json"
    )
    text: Annotated[str, Expected("a string")] | None = Field(
        default=None, description="sent as text/plain in UTF-8, unless headers say what it is"
    )
    timeout_s: fields.Timeout | None = Field(
        default=None, description="for the whole exchange; null takes TASKMILL_OUTBOUND__TIMEOUT_S"
    )
    expect: Statuses = Field(
        default=_EXPECT, description="the response statuses that are a success", min_length=1
    )
    retry_on: Statuses = Field(
        default=_RETRY_ON,
        description="the response statuses after which another attempt is made, if one is left; others fail "
        "the task",
    )


def push_violations(payload: Mapping[str, Any]) -> list[Violation]:
    """Return what is wrong with the payload of a task of type `http`, up to a limit."""
    found: list[Violation] = []
    try:
        PushPayload.model_validate(payload)
    except ValidationError as error:
        wrong = violations_of(error, PushPayload, payload, depth=1)
        found = [_without_secrets(one).below("/payload") for one in wrong]
    if payload.get("text") is not None and "body" in payload:
        expected = "either body or text"
        found.append(Violation(pointer="/payload/text", expected=expected, got="both"))
    return found[:MOST_VIOLATIONS]


def _without_secrets(violation: Violation) -> Violation:
    is_secret = violation.pointer.startswith("/headers/")
    return replace(violation, got="a masked value") if is_secret else violation


def missing_payload() -> Violation:
    """Return what is wrong with a task of type `http` that has no payload."""
    return Violation(
        pointer="/payload", expected="an object that has at least a url", got="nothing"
    )


def matches_status(status: int, statuses: Iterable[int | str]) -> bool:
    """Return whether a status is one of `statuses`, or in one of their classes."""
    named = f"{status // 100}xx"
    return any(one in (status, named) for one in statuses)
