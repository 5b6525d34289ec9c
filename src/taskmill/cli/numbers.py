"""Numbers as option values, with readable messages; click's own speak of "a valid integer range".

It imports nothing heavy, because commands that start the service use it, too.
"""

import math
from typing import Any

import click


class Whole(click.IntRange):
    """A whole number within bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read it."""
        try:
            number = int(value)
        except ValueError:
            number = None
        if number is None or not _is_within(number, self):
            self.fail(f"expected a whole number{_bounds(self)}, got {value!r}", param, ctx)
        return number


class Number(click.FloatRange):
    """A finite number within bounds."""

    _what = "a number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read it."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or not _is_within(number, self):
            self.fail(f"expected {self._what}{_bounds(self)}, got {value!r}", param, ctx)
        return number


class Seconds(Number):
    """A finite number of seconds."""

    _what = "a number of seconds"


def _is_within(number: float, bounds: click.IntRange | click.FloatRange) -> bool:
    least = -math.inf if bounds.min is None else bounds.min
    is_enough = number > least if bounds.min_open else number >= least
    return is_enough and (bounds.max is None or number <= bounds.max)


def _bounds(bounds: click.IntRange | click.FloatRange) -> str:
    least, most = bounds.min, bounds.max
    if bounds.min_open:
        return f" over {least:,}, at most {most:,}"
    if least is not None and most is not None:
        return f" from {least:,} to {most:,}"
    if least is not None:
        return f" of {least:,} or more"
    return "" if most is None else f" of {most:,} or less"
