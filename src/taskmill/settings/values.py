"""The kinds of values of settings: how they are read, and shown without secrets."""

import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_network
from typing import Annotated, Final, Literal, NamedTuple

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from taskmill.domain.signing import MASKED, is_secret

_HOST = r"(?:\[[^]/]*\]|[^]\[:,/?#]*)(?::(?:[0-5]?[0-9]{0,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-3][0-9]))?"
_HOSTS = re.compile(rf"(?:[^/]*@)?{_HOST}(?:,{_HOST})*(?:[/?#].*)?", re.ASCII | re.DOTALL)
_WEIGHTED = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]{0,62})\s*(?:=\s*(?P<weight>[0-9]{1,9}))?", re.ASCII
)
_HOST_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?\.?", re.ASCII)
_ORIGIN = re.compile(rf"https?://(?!\Z){_HOST}", re.ASCII)
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?[0-9]+\.?", re.ASCII)
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9]{0,11}", re.ASCII)
# Those that stand for themselves in an address.
_PASSWORD = re.compile(r"[A-Za-z0-9._~-]{12,200}", re.ASCII)
_NAMED_PASSWORD = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]{0,62})=(?P<password>[A-Za-z0-9._~-]{12,200})", re.ASCII
)
# What they begin with are names of others: of roles and their queues, and of RabbitMQ's own exchanges.
_OTHERS_NAMES: Final = re.compile(r"(?:taskmill|amq)(?:[._-].*)?", re.ASCII)
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?", re.ASCII)
_LINK = re.compile(rf"https?://(?![/?#]){_HOST}[/?#][!#-;=?-\[\]_a-z~]+", re.ASCII)
_PORTS = re.compile(r"(?P<first>[0-9]{1,5})(?:\s*-\s*(?P<last>[0-9]{1,5}))?", re.ASCII)
_AMQP = re.compile(rf"(?:[^/]*@)?{_HOST}(?:,{_HOST})*(?:/[^/]*)?", re.ASCII | re.DOTALL)


_LAST_PORT: Final = 65_535

TRACE_ID: Final = "{trace_id}"
"""Stands for the id of a trace in the address of its page."""


class PortRange(NamedTuple):
    """Ports from the first to the last, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def _parsed_list(value: object) -> object:
    """Read ``a, b`` or ``["a", "b"]``; anything else is left to the type's own check."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [item for part in value.split(",") if (item := part.strip())]
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(value) if isinstance(value, str) else value
    return value


def _parsed_database_url(value: object) -> object:
    """Accept the spellings of other tools, and return one: ``postgresql://``."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    scheme, separator, rest = text.strip().partition("://")
    is_postgres = separator and scheme.partition("+")[0] in {"postgresql", "postgres"}
    if not is_postgres or _HOSTS.fullmatch(rest) is None:
        raise ValueError("expected postgresql://user:password@host:port/database")
    return SecretStr(f"postgresql://{rest}")


def _parsed_broker_url(value: object) -> object:
    """Accept one address, or one with the hosts of all nodes of a cluster, separated by commas."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    scheme, separator, rest = text.strip().partition("://")
    without_query, _, _ = rest.partition("?")
    if not separator or scheme not in {"amqp", "amqps"} or _AMQP.fullmatch(without_query) is None:
        raise ValueError("expected amqp://user:password@host:port/vhost")
    return SecretStr(f"{scheme}://{rest}")


def _parsed_weights(value: object) -> object:
    """Read ``a, b=3`` or a list of such; a name without a weight has 1."""
    items = _parsed_list(value)
    found = (
        [_WEIGHTED.fullmatch(str(item)) for item in items]
        if isinstance(items, (list, tuple))
        else [None]
    )
    if None in found:
        raise ValueError("expected a valid list of names, with optional weights: a,b=3")
    return {match["name"]: int(match["weight"] or 1) for match in found if match}


def _parsed_passwords(value: object) -> object:
    """Read ``shop=password, crm=password`` or a list of such."""
    items = _parsed_list(value)
    found = (
        [_NAMED_PASSWORD.fullmatch(str(item)) for item in items]
        if isinstance(items, (list, tuple))
        else [None]
    )
    if None in found:
        raise ValueError(
            "expected name=password, separated by commas, with 12 to 200 letters, digits, or - . _ ~"
        )
    passwords = {match["name"]: match["password"] for match in found if match}
    _check_producers(passwords)
    return passwords


def _check_producers(names: Iterable[str]) -> None:
    """Refuse users with rights of others: these are about whatever begins with their names and a dot."""
    known = sorted(names)
    for name in known:
        if _OTHERS_NAMES.fullmatch(name):
            raise ValueError(f"expected names of producers, which {name!r} can't be")
        if above := [one for one in known if name.startswith(f"{one}.")]:
            raise ValueError(
                f"expected names of which none is another's with a dot and more: {above[0]!r} could read the "
                f"replies to {name!r}"
            )


def _parsed_ports(value: object) -> object:
    """Read ``443, 8000-8999`` or a list of such."""
    items = _parsed_list(value)
    if not isinstance(items, (list, tuple)):
        items = [items]
    return tuple(item if isinstance(item, PortRange) else _port_range(str(item)) for item in items)


def _port_range(text: str) -> PortRange:
    if (match := _PORTS.fullmatch(text)) is not None:
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if 0 < first <= last <= _LAST_PORT:
            return PortRange(first, last)
    raise ValueError("expected ports (443) and ranges of them (8000-8999), from 1 to 65535")


def _checked_networks(entries: tuple[str, ...]) -> tuple[str, ...]:
    for entry in entries:
        try:
            ip_network(entry, strict=False)
        except ValueError:
            raise ValueError("expected networks or addresses, such as 10.0.0.0/8 or ::1") from None
    return entries


def _checked_hosts(entries: tuple[str, ...]) -> tuple[str, ...]:
    for entry in entries:
        if _HOST_NAME.fullmatch(entry.lower()) is None or _ENDS_IN_NUMBER.fullmatch(entry):
            try:
                ip_network(entry, strict=False)
            except ValueError:
                raise ValueError(
                    "expected networks (10.0.0.0/8), addresses, and names of hosts (*.example.org)"
                ) from None
    return entries


def _checked_host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if _HOST_NAME.fullmatch(name.lower()) is None:
            raise ValueError(
                "expected names without ports, such as tasks.example.org or *.example.org"
            )
    return names


def _checked_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    for origin in origins:
        if _ORIGIN.fullmatch(origin.lower()) is None:
            raise ValueError("expected origins, such as http://localhost:5173")
    return origins


def _checked_secrets(secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not all(is_secret(secret.get_secret_value()) for secret in secrets):
        raise ValueError("expected whsec_ and 24 to 64 bytes in Base64, for each of them")
    return secrets


def _checked_environment(text: str) -> str:
    if _ENVIRONMENT.fullmatch(text) is None:
        raise ValueError("expected a letter and up to 11 small letters and digits, such as live")
    return text


def _checked_password(password: SecretStr) -> SecretStr:
    if _PASSWORD.fullmatch(password.get_secret_value()) is None:
        raise ValueError("expected 12 to 200 letters, digits, or - . _ ~")
    return password


def _checked_prefix(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        raise ValueError("expected a path such as /taskmill, or nothing")
    return text.rstrip("/")


def _checked_trace_link(text: str) -> str:
    address = text.replace(TRACE_ID, "0" * 32)
    if text and (TRACE_ID not in text or _LINK.fullmatch(address) is None):
        raise ValueError("expected https://... or http://... with {trace_id} in it, or nothing")
    return text


Names = Annotated[tuple[str, ...], BeforeValidator(_parsed_list)]
Weights = Annotated[
    dict[str, Annotated[int, Field(ge=1, le=1000)]], BeforeValidator(_parsed_weights)
]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_parsed_list), AfterValidator(_checked_hosts)]
Networks = Annotated[
    tuple[str, ...], BeforeValidator(_parsed_list), AfterValidator(_checked_networks)
]
HostNames = Annotated[
    tuple[str, ...], BeforeValidator(_parsed_list), AfterValidator(_checked_host_names)
]
Origins = Annotated[
    tuple[str, ...], BeforeValidator(_parsed_list), AfterValidator(_checked_origins)
]
SigningKeys = Annotated[
    tuple[SecretStr, ...], BeforeValidator(_parsed_list), AfterValidator(_checked_secrets)
]
PortRanges = Annotated[tuple[PortRange, ...], BeforeValidator(_parsed_ports)]
Password = Annotated[SecretStr, AfterValidator(_checked_password)]
NamedPasswords = Annotated[dict[str, SecretStr], BeforeValidator(_parsed_passwords)]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_parsed_database_url)]
BrokerUrl = Annotated[SecretStr, BeforeValidator(_parsed_broker_url)]
AuthPolicy = Literal["auto", "off", "required"]
BrokerPolicy = Literal["auto", "rabbitmq", "postgres"]
HintQueues = Literal["auto", "classic", "quorum"]
LogFormat = Literal["auto", "console", "json"]
TracesTarget = Literal["off", "otlp"]
LogLevel = Literal["debug", "info", "warning", "error"]
TaskLogLevel = Literal["debug", "info", "warning", "error", "off"]
KeyEnvironment = Annotated[str, AfterValidator(_checked_environment)]
PathPrefix = Annotated[str, AfterValidator(_checked_prefix)]
TraceLink = Annotated[str, AfterValidator(_checked_trace_link)]
Port = Annotated[int, Field(ge=0, le=65535)]
# More is as good as no limit, and exceeds PostgreSQL's integers and intervals.
MOST: Final = 1_000_000_000
"""The upper bound of all numbers."""
Seconds = Annotated[float, Field(gt=0, le=MOST, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=MOST)]
CountOrZero = Annotated[int, Field(ge=0, le=MOST)]


def shown(value: object) -> str:
    """Return a setting's value as text, secrets masked."""
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return _masked_url(text) if "://" in text else "***"
    if isinstance(value, tuple) and value and isinstance(value[0], SecretStr):
        return ",".join(MASKED for _ in value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(
            name if weight == 1 else f"{name}={weight}" for name, weight in value.items()
        )
    return "" if value is None else str(value)


def _masked_url(url: str) -> str:
    """Hide the password of an address; hide all of it if the password can't be found."""
    scheme, _, rest = url.partition("://")
    address, _, query = rest.partition("?")
    credentials, _, host = address.rpartition("@")
    if "@" in query and not credentials:
        return "***"
    user, colon, _ = credentials.partition(":")
    visible = f"{scheme}://{user}{':***' if colon else ''}{'@' if credentials else ''}{host}"
    return visible + ("?" + re.sub(r"(password=)[^&]*", r"\1***", query) if query else "")
