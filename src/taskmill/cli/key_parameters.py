"""The kinds of values that the commands for API keys take. No message shows a secret."""

import re
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, Final

import click

from taskmill.cli.parameters import Span
from taskmill.domain.api_keys import PREFIX, Network, parse_key
from taskmill.domain.errors import InvalidInput
from taskmill.domain.grants import Grant
from taskmill.domain.quotas import QuotaLimit

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_LONGEST: Final = timedelta(days=36_500)


class GrantParam(click.ParamType[Grant]):
    """A scope, and what it is limited to."""

    name = "GRANT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read ``tasks:create queue=billing.*``."""
        try:
            return Grant.parse(value)
        except InvalidInput as error:
            [violation] = error.violations
            self.fail(f"expected {violation.expected}, got {violation.got}", param, ctx)


class NetworkParam(click.ParamType[Network]):
    """A network, or a single address."""

    name = "CIDR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read ``10.0.0.0/8``."""
        try:
            return ip_network(value)
        except ValueError as error:
            self.fail(f"expected a network such as 10.0.0.0/8: {error}", param, ctx)


class QuotaParam(click.ParamType[QuotaLimit]):
    """A quota and its limit."""

    name = "NAME=N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read ``queues=50``."""
        try:
            return QuotaLimit.parse(value)
        except InvalidInput as error:
            [violation] = error.violations
            self.fail(f"expected {violation.expected}, got {violation.got}", param, ctx)


class NewName(click.ParamType[str]):
    """The name of a new key."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Check its form."""
        if _NAME.fullmatch(value) is None:
            self.fail(
                "expected up to 63 small letters, digits, dots, dashes and underscores, such as billing-api",
                param,
                ctx,
            )
        return value


class KnownKey(click.ParamType[str]):
    """The id or name of a key that is there."""

    name = "KEY"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Refuse a whole key: command lines are stored in histories, and shown in lists of processes."""
        if value.startswith(PREFIX):
            parsed = parse_key(value)
            named = "its id or name" if parsed is None else f"its id, {parsed.id}"
            self.fail(
                f"this is a whole key, with its secret: give {named}; and rotate it: others may have seen it",
                param,
                ctx,
            )
        return value


class Lifetime(Span):
    """A length of time that the database can add to now."""

    def __init__(self, *, least: timedelta = timedelta(seconds=1)) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401 - click's signature
        """Read ``12h``, ``90d``."""
        span = super().convert(value, param, ctx)
        if not self._least <= span <= _LONGEST:
            bounds = f"{int(self._least.total_seconds())}s to {_LONGEST.days}d"
            self.fail(f"expected a time from {bounds}, got {value}", param, ctx)
        return span
