"""What workers that pull over HTTP report of their claims, and the responses.

The models are for the OpenAPI document and the client; the bytes of responses are written by hand, and tested
with the models.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from taskmill.domain.error_kinds import LONGEST_KEY, is_fingerprint
from taskmill.domain.errors import InvalidInput
from taskmill.domain.lifecycle import (
    ErrorInfo,
    EventType,
    Failed,
    Outcome,
    Permanent,
    Reason,
    Retry,
    Status,
    Succeeded,
)
from taskmill.domain.task_log import LineLevel, SentLine
from taskmill.wire import fields
from taskmill.wire.basics import format_timestamp
from taskmill.wire.encoding import encode_json
from taskmill.wire.fields import Expected, Timestamp
from taskmill.wire.strict_json import compact
from taskmill.wire.violations import validated

_BODY: Final = ConfigDict(strict=True, extra="forbid", frozen=True)
_ID_LENGTH: Final = 36
_LARGEST_CLAIM_NO: Final = 2**31 - 1
_MOST_LINES: Final = 1000
_LONGEST_LINE: Final = 100_000
_KEY: Final = f"a string of 1 to {LONGEST_KEY} characters"
_LEASE_ID: Final = "01a2104c-91d0-7000-8b1e-50f0c6ad9e55"


def _plain_id(text: object) -> UUID:
    """Refuse braces, URNs and other spellings of an id."""
    if isinstance(text, str) and len(text) == _ID_LENGTH:
        found = UUID(text)
        if str(found) == text.lower():
            return found
    raise ValueError("not a UUID of 36 characters")


def _fingerprint(text: str) -> str:
    if is_fingerprint(text):
        return text
    raise ValueError("it shows nothing, or stands for all others")


Id = Annotated[UUID, BeforeValidator(_plain_id), Expected("a UUID of 36 characters", reveal=True)]
ClaimNo = Annotated[
    int,
    Field(ge=1, le=_LARGEST_CLAIM_NO),
    Expected("a whole number from 1, as in the claim's response", reveal=True),
]
ErrorMessage = Annotated[
    str, Field(max_length=10_000), Expected("a string of at most 10,000 characters")
]
ProgressMessage = Annotated[
    str, Field(max_length=500), Expected("a string of at most 500 characters, or null")
]


class ClaimOf(BaseModel):
    """The fence: what proves that the claim is the current one."""

    model_config = _BODY

    lease_id: Id = Field(description="the lease that the task was taken under")
    claim_no: ClaimNo = Field(description="the number of the claim, as in the lease")


class FinishClaim(ClaimOf):
    """An attempt succeeded."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"lease_id": _LEASE_ID, "claim_no": 1, "result": {"pages": 12}}]
        }
    )

    result: Annotated[Any, Expected("any JSON")] = Field(
        default=None, description="what came of it; any JSON"
    )


class FailureSpec(BaseModel):
    """What went wrong, as the task's `error` shows it."""

    model_config = _BODY

    type: Annotated[
        str, Field(min_length=1, max_length=200), Expected("a string of 1 to 200 characters")
    ] = Field(default="Error", description="its kind, for programs")
    message: ErrorMessage = Field(default="", description="for people")
    place: Annotated[str, Field(min_length=1, max_length=LONGEST_KEY), Expected(_KEY)] | None = (
        Field(
            default=None,
            description="the innermost function of the worker's own code, such as shop.mail.send: failures of one "
            "type and place are one kind, whatever their messages",
        )
    )
    fingerprint: (
        Annotated[
            str,
            Field(min_length=1, max_length=LONGEST_KEY),
            AfterValidator(_fingerprint),
            Expected(f"{_KEY}, other than *"),
        ]
        | None
    ) = Field(
        default=None,
        description="a name of your own for failures of one kind, instead of type and place",
    )


class FailClaim(ClaimOf):
    """An attempt failed; the task and its retry policy decide whether there is another."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "lease_id": _LEASE_ID,
                    "claim_no": 1,
                    "error": {"type": "ExitStatus", "message": "convert ended with status 1"},
                },
                {"lease_id": _LEASE_ID, "claim_no": 1, "error": {}, "retry_after_s": 30},
            ]
        }
    )

    error: Annotated[FailureSpec, Expected("an object with type and message")]
    permanent: fields.Flag = Field(default=False, description="no further attempt can help")
    retry_after_s: fields.Delay | None = Field(
        default=None,
        description="when the next attempt is due, if there is one left; instead of the retry policy's "
        "wait, and not with permanent",
    )


class ClaimCancelled(ClaimOf):
    """An attempt was stopped because a cancel of the task was requested."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"lease_id": _LEASE_ID, "claim_no": 1}]}
    )


class ReportProgress(ClaimOf):
    """How far an attempt has come; at least one of the two. It replaces the report before."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"lease_id": _LEASE_ID, "claim_no": 1, "share": 0.4, "message": "page 4 of 10"}
            ]
        }
    )

    share: (
        Annotated[float, Field(ge=0, le=1), Expected("a number from 0 to 1, or null", reveal=True)]
        | None
    ) = Field(default=None, description="how much of it is done, from 0 to 1")
    message: ProgressMessage | None = Field(default=None, description="what it does, for people")


class LineSpec(BaseModel):
    """A line of a claim's log."""

    model_config = _BODY

    message: Annotated[
        str,
        Field(max_length=_LONGEST_LINE),
        Expected(f"a string of at most {_LONGEST_LINE:,} characters"),
    ] = Field(description="what is too long for the settings is cut")
    level: Annotated[
        LineLevel, Field(strict=False), Expected(f"one of {', '.join(LineLevel)}", reveal=True)
    ] = LineLevel.INFO
    fields: Annotated[dict[str, Any], Expected("an object, or null")] | None = Field(
        default=None, description="what comes with it, within the bound of the settings"
    )


class AddLines(ClaimOf):
    """What an attempt logs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "lease_id": _LEASE_ID,
                    "claim_no": 1,
                    "first": 1,
                    "lines": [
                        {"message": "page 4 is blank", "level": "warning", "fields": {"page": 4}}
                    ],
                }
            ]
        }
    )

    first: Annotated[
        int,
        Field(ge=1, le=_LARGEST_CLAIM_NO - _MOST_LINES),
        Expected("a whole number from 1", reveal=True),
    ] = Field(
        description="the number of the first of these lines in its claim; the same again is the same line"
    )
    lines: Annotated[
        list[LineSpec],
        Field(min_length=1, max_length=_MOST_LINES),
        Expected(f"1 to {_MOST_LINES:,} lines"),
    ]


class StoredLines(BaseModel):
    """The result of adding lines."""

    left_out: int = Field(
        description="lines of a level that is not stored, or beyond what a claim may log"
    )


class ClaimEndView(BaseModel):
    """How a claim has ended."""

    task_id: UUID
    claim_no: int
    event: EventType = Field(description="as in the task's history")
    status: Status = Field(description="the task's status after it")
    reason: Reason | None
    run_at: Timestamp | None = Field(description="when the next attempt is due, if there is one")


def to_finish(body: object, *, result_bytes: int) -> tuple[ClaimOf, Outcome]:
    """Return which claim has succeeded, and with what.

    Raises:
        InvalidInput: It does not fit, or the result is larger than `result_bytes`.
    """
    request = validated(FinishClaim, body)
    result = None if request.result is None else compact(request.result)
    size = 0 if result is None else len(result.encode())
    if size > result_bytes:
        expected = f"at most {result_bytes} bytes of JSON without spacing"
        raise InvalidInput.at("/result", expected, f"{size} bytes")
    return request, Succeeded(result=result)


def to_failure(body: object) -> tuple[ClaimOf, Outcome]:
    """Return which claim has failed, and how. Raises `InvalidInput`."""
    request = validated(FailClaim, body)
    error = ErrorInfo(**request.error.model_dump())
    if request.permanent:
        if request.retry_after_s is not None:
            raise InvalidInput.at("/retry_after_s", "nothing, with permanent", "a time to wait")
        return request, Permanent(error=error)
    if request.retry_after_s is not None:
        return request, Retry(error=error, after=timedelta(seconds=request.retry_after_s))
    return request, Failed(error=error)


def to_cancelled(body: object) -> ClaimOf:
    """Return which claim was stopped. Raises `InvalidInput`."""
    return validated(ClaimCancelled, body)


def to_progress(body: object) -> ReportProgress:
    """Return the claim and its progress. Raises `InvalidInput`."""
    request = validated(ReportProgress, body)
    if request.share is None and request.message is None:
        raise InvalidInput.at("", "share, message or both", "neither")
    return request


def to_lines(body: object) -> tuple[AddLines, list[SentLine]]:
    """Return the claim and its lines. Raises `InvalidInput`."""
    request = validated(AddLines, body)
    return request, [_sent_line(line) for line in request.lines]


def _sent_line(line: LineSpec) -> SentLine:
    fields_json = None if line.fields is None else compact(line.fields)
    return SentLine(level=line.level, message=line.message, fields=fields_json)


def stored_lines_json(left_out: int) -> bytes:
    """Return the result of adding lines as a `StoredLines` in JSON."""
    return encode_json({"left_out": left_out})


def claim_end_json(
    task_id: UUID,
    claim_no: int,
    *,
    event: EventType,
    status: Status,
    reason: str | None,
    run_at: datetime | None,
) -> bytes:
    """Return the end of a claim as a `ClaimEndView` in JSON."""
    return encode_json(
        {
            "task_id": task_id,
            "claim_no": claim_no,
            "event": event,
            "status": status,
            "reason": reason,
            "run_at": None if run_at is None else format_timestamp(run_at),
        }
    )
