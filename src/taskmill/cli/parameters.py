"""The kinds of option values that click does not have: payloads, times, spans of time, labels."""

import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import click

from taskmill.domain.errors import TaskmillError
from taskmill.wire import strict_json


class PayloadParam(click.ParamType[dict[str, Any]]):
    """A JSON object, or a file with one."""

    name = "JSON|@FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read the text, or the file that it names, as strictly as the service would."""
        try:
            text = _file_bytes(value[1:]) if value.startswith("@") else os.fsencode(value)
            payload = strict_json.parse(text)
        except OSError as error:
            self.fail(f"{value[1:]} can't be read: {error.strerror}", param, ctx)
        except TaskmillError as error:
            self.fail(f"this can't be taken: {error}", param, ctx)
        if not isinstance(payload, dict):
            self.fail('expected a JSON object, such as {"delay_s": 1}', param, ctx)
        return payload


class Moment(click.ParamType[datetime]):
    """A date and time; without a zone, of the local one."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read an ISO time."""
        try:
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.astimezone()
        except (ValueError, OverflowError):  # the first and the last day have no local time
            self.fail("expected a time such as 2030-01-31T09:00 or 2030-01-31T09:00Z", param, ctx)


class Span(click.ParamType[timedelta]):
    """A length of time: a whole number and a unit."""

    name = "TIME"
    _units: ClassVar = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read ``30m``, ``12h``, ``1d``."""
        number, unit = value[:-1], value[-1:]
        if unit not in self._units or not (number.isascii() and number.isdigit()):
            self.fail("expected a number and s, m, h or d, such as 12h", param, ctx)
        try:
            span = timedelta(**{self._units[unit]: int(number)})
        except OverflowError:
            self.fail("that is longer than there is time", param, ctx)
        return span


class LabelParam(click.ParamType[tuple[str, str]]):
    """A ``key=value``."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Split at the first ``=``."""
        key, separator, text = value.partition("=")
        if not separator or not key:
            self.fail("expected key=value", param, ctx)
        return (key, text)


def _file_bytes(path: str) -> bytes:
    return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
