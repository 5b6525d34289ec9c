"""The types of fields in requests, each with a description of the values that it accepts.

The description is next to the rule, so that an error can name what was expected without a second list.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from taskmill.domain.error_kinds import LONGEST_KIND
from taskmill.domain.task_fields import DAY_S, TASK_FIELDS, WEEK_S, Kind
from taskmill.wire.basics import format_timestamp

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,62}$"
# White space, controls, and characters without width or ink: Unicode's White_Space and
# Default_Ignorable_Code_Point, and the blank of Braille. The SQL function has the same list.
INVISIBLE: Final = (
    r"\u0000-\u0020\u007F-\u00A0\u00AD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F"
    r"\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFF8"
)
_INVISIBLE_BEYOND: Final = r"\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF"
NAME_WORDS: Final = "1 to 63 characters a-z, 0-9, '.', '_' or '-', the first a letter or a digit"

_NAME = re.compile(NAME_PATTERN.removesuffix("$"))
# Far above what settings allow; their limits are checked together with everything else.
_MOST_MEMBERS = 10_000
_FIRST_YEAR = 2000
_LAST_YEAR = 2100
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
)


@dataclass(frozen=True, slots=True)
class Expected:
    """The values that a field accepts, in words; `reveal` lets an error show a short text that came instead."""

    words: str
    reveal: bool = False


def _bounds(name: str) -> Any:  # noqa: ANN401 - pydantic's own type of it
    """Return the bounds of a field of tasks."""
    field = TASK_FIELDS[name]
    if field.kind is Kind.TEXT:
        return Field(min_length=field.least, max_length=field.most)
    over, least = (field.least, None) if field.is_over else (None, field.least)
    return Field(gt=over, ge=least, le=field.most)


def _expected(name: str) -> Expected:
    """Return the values that a field of tasks accepts, in words."""
    field = TASK_FIELDS[name]
    least, most = f"{field.least or 0:,}", f"{field.most:,}"
    if field.kind is Kind.TEXT:
        length = f"at most {most}" if field.least is None else f"{least} to {most}"
        return Expected(f"a string of {length} characters, or null")
    unit = "a whole number" if field.kind is Kind.INTEGER else "a number of seconds"
    words = f"over {least}, at most {most}" if field.is_over else f"from {least} to {most}"
    note = f" ({field.note})" if field.note else ""
    return Expected(f"{unit} {words}{note}", reveal=True)


def is_name(text: str) -> bool:
    """Return whether it may be the name of a queue or a type."""
    return _NAME.fullmatch(text) is not None


def parse_timestamp(text: object) -> datetime:
    """Return the moment in UTC.

    Raises:
        ValueError: It is not an RFC 3339 date and time with a time zone, of the years 2000 to 2100
            in UTC.
    """
    if not isinstance(text, str) or _RFC_3339.fullmatch(text) is None:
        raise ValueError("not an RFC 3339 time with a time zone")
    moment = datetime.fromisoformat(text.upper())
    # Before the conversion, which overflows at the ends of the calendar.
    if _FIRST_YEAR - 1 <= moment.year <= _LAST_YEAR + 1:
        moment = moment.astimezone(UTC)
        if _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            return moment
    raise ValueError("outside the years 2000 to 2100")


def _bounded(members: object) -> object:
    """Refuse at once what no setting allows, before each member is validated."""
    if isinstance(members, dict) and len(members) > _MOST_MEMBERS:
        raise ValueError("too many members")
    return members


Timestamp = Annotated[
    datetime,
    PlainSerializer(format_timestamp, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
"""A time in a response."""

RequestedTime = Annotated[
    datetime,
    BeforeValidator(parse_timestamp),
    Expected(
        "an RFC 3339 time with a time zone (such as 2030-01-31T09:00:00Z or …+03:00), "
        "of the years 2000 to 2100",
        reveal=True,
    ),
]
Slug = Annotated[str, Field(pattern=NAME_PATTERN), Expected(NAME_WORDS, reveal=True)]
Title = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=f"[^{INVISIBLE}{_INVISIBLE_BEYOND}]"),
    # JavaScript's regular expressions need another syntax for characters beyond U+FFFF.
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": 200, "pattern": f"[^{INVISIBLE}]"}
    ),
    Expected("a string of 1 to 200 characters, not only white space"),
]
NamePart = Annotated[
    str, Field(min_length=1, max_length=200), Expected("a string of 1 to 200 characters")
]
FailureKind = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_KIND),
    Expected(f"a kind of failures, a string of 1 to {LONGEST_KIND} characters"),
]
Description = Annotated[str, _bounds("description"), _expected("description")]
Payload = Annotated[dict[str, Any], Expected("an object, or null")]
_Pointer = Annotated[str, Field(max_length=200, pattern=r"^(/([^~/]|~[01])*)*$")]
PayloadSecrets = Annotated[
    list[_Pointer],
    Field(max_length=20),
    Expected(
        "an array of at most 20 JSON pointers (/card/number) of at most 200 characters, or null"
    ),
]
Priority = Annotated[int, _bounds("priority"), _expected("priority")]
LabelKey = Annotated[str, Field(min_length=1, max_length=63)]
LabelValue = Annotated[str, Field(max_length=255)]
Labels = Annotated[
    dict[LabelKey, LabelValue],
    BeforeValidator(_bounded),
    Expected("an object of texts: keys of 1 to 63 characters, values of at most 255"),
]
Delay = Annotated[float, _bounds("delay_s"), _expected("delay_s")]
Timeout = Annotated[float, _bounds("timeout_s"), _expected("timeout_s")]
MaxAttempts = Annotated[int, _bounds("max_attempts"), _expected("max_attempts")]
MaxLosses = Annotated[int, _bounds("max_losses"), _expected("max_losses")]
Key = Annotated[str, _bounds("idempotency_key"), _expected("idempotency_key")]
Flag = Annotated[bool, Expected("true or false", reveal=True)]
RetryBase = Annotated[
    float,
    Field(ge=0, le=DAY_S),
    Expected("a number of seconds from 0 to 86,400 (a day)", reveal=True),
]
RetryFactor = Annotated[float, Field(ge=1, le=100), Expected("a number from 1 to 100", reveal=True)]
RetryCeiling = Annotated[
    float,
    Field(ge=0, le=WEEK_S),
    Expected("a number of seconds from 0 to 604,800 (a week)", reveal=True),
]
RetryJitter = Annotated[float, Field(ge=0, le=1), Expected("a number from 0 to 1", reveal=True)]
