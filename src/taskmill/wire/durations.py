"""ISO 8601 durations in requests and responses: `PT15M`, `P1DT12H`. Years and months are refused: they differ."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, WithJsonSchema

_DURATION: Final = re.compile(
    r"P(?=[0-9T])(?:(?P<weeks>[0-9]{1,6})W|(?:(?P<days>[0-9]{1,6})D)?"
    r"(?:T(?=[0-9])(?:(?P<hours>[0-9]{1,9})H)?(?:(?P<minutes>[0-9]{1,9})M)?"
    r"(?:(?P<seconds>[0-9]{1,9}(?:\.[0-9]{1,6})?)S)?)?)"
)
DURATION_WORDS: Final = (
    "an ISO 8601 duration of weeks, or of days, hours, minutes and seconds, such as PT15M or P1D"
)


def parse_duration(text: object) -> timedelta:
    """Return the length of time; a day has 24 hours.

    Raises:
        ValueError: It is not an ISO 8601 duration without years and months.
    """
    found = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("not an ISO 8601 duration without years and months")
    parts = {unit: float(number) for unit, number in found.groupdict().items() if number}
    return timedelta(**parts)


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "format": "duration"}),
]
"""A length of time in a request."""
