"""Reads the configuration from its sources, and explains what is wrong with it.

Only this package reads the environment. Sources, strongest first: the caller's options, the environment
(``TASKMILL_API__PORT``), ``.env`` in the working folder, a TOML file (``taskmill.toml``, or the one
that ``TASKMILL_CONFIG_FILE`` names), defaults. Empty names count as unset.
It reads and checks values; it opens nothing that they name.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from taskmill.domain.errors import ConfigurationError
from taskmill.settings.api import ApiSettings
from taskmill.settings.auth import AUTH_DESCRIPTION
from taskmill.settings.broker_users import BrokerUserSettings
from taskmill.settings.dotted import flattened, nested
from taskmill.settings.group import Group
from taskmill.settings.groups import (
    DashboardSettings,
    DatabaseSettings,
    EmulationSettings,
    FeedSettings,
    LeaseSettings,
    LimitSettings,
    LogFileSettings,
    MaintenanceSettings,
    MetricsSettings,
    PullSettings,
    RetentionSettings,
    RetrySettings,
    TaskLogSettings,
    WorkerSettings,
)
from taskmill.settings.outgoing import OutboundSettings, WebhookSettings
from taskmill.settings.quotas import QuotaSettings
from taskmill.settings.rate_limits import RateLimitSettings
from taskmill.settings.roles import RoleSettings
from taskmill.settings.unknown_names import unknown_name
from taskmill.settings.values import (
    AuthPolicy,
    BrokerPolicy,
    BrokerUrl,
    DatabaseUrl,
    HintQueues,
    KeyEnvironment,
    LogFormat,
    LogLevel,
    Port,
    TraceLink,
    TracesTarget,
    shown,
)

__all__ = [
    "ApiSettings",
    "DashboardSettings",
    "DatabaseSettings",
    "Effective",
    "FeedSettings",
    "LimitSettings",
    "LogFileSettings",
    "OutboundSettings",
    "PullSettings",
    "QuotaSettings",
    "RateLimitSettings",
    "Settings",
    "TaskLogSettings",
    "WebhookSettings",
    "effective",
    "load",
]

_PREFIX = "TASKMILL_"
_DOTENV = ".env"
_TOML = "taskmill.toml"
# Names with our prefix that are not settings: they choose the file, and the server and the key of the CLI.
_OTHER_NAMES = frozenset(
    {
        "TASKMILL_API_KEY",
        "TASKMILL_API_KEY_FILE",
        "TASKMILL_CONFIG_FILE",
        "TASKMILL_PYTHON",
        "TASKMILL_TEST_POSTGRES_BIN",
        "TASKMILL_URL",
    }
)
_NO_DATABASE = """no database is set: give --database-url or TASKMILL_DATABASE_URL
(postgresql://user:password@host:port/database), or use `taskmill up`, which brings its own"""

_NO_BROKER = """no broker is set: give --broker-url or TASKMILL_BROKER_URL
(amqp://user:password@host:port/vhost), or use `taskmill up`, which brings its own"""


class Settings(BaseSettings):
    """All settings of one process, frozen; made by `load`, which has readable errors."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: DatabaseUrl | None = Field(
        None,
        description="`postgresql://user:password@host:port/database`. Without it `up` runs its own PostgreSQL; "
        "`migrate` needs it, and so does `run` unless an `up` runs whose database it can use",
    )
    broker: BrokerPolicy = Field(
        "auto",
        description="how workers learn of tasks: `rabbitmq`, `postgres` (claims straight from the database), or "
        "`auto`: RabbitMQ when an address is known, and PostgreSQL while RabbitMQ is away",
    )
    broker_url: BrokerUrl | None = Field(
        None,
        description="`amqp://user:password@host:port/vhost`, or `amqps://…`; the nodes of a cluster as "
        "`host:port,host:port`. Without it `up` runs its own RabbitMQ; relay and intake need it",
    )
    broker_starts: bool = Field(
        False,  # noqa: FBT003 - pydantic's own
        description="the broker is starting: until the first connection to it, no warning is logged that it is "
        "down. `taskmill up` sets it for its processes, and reports on the start itself",
    )
    hint_queues: HintQueues = Field(
        "auto",
        description="type of RabbitMQ's hint queues: `classic`, which is faster, or `quorum`, which survives "
        "the loss of a node; `auto` is quorum if the address names several nodes. Set it alike for relays and "
        "workers",
    )
    auth: AuthPolicy = Field("auto", description=AUTH_DESCRIPTION)
    api_key_environment: KeyEnvironment = Field(
        "live",
        description="word in new API keys, such as `live` or `test`, which says what a key is for: up to 12 small "
        "letters and digits",
    )
    data_dir: Path = Field(Path(".taskmill"), description="where `up` stores its data")
    secrets_key_file: Path | None = Field(
        None,
        description="file with the keys that encrypt the secrets of webhooks and the key for callbacks in the "
        "database, 32 bytes in Base64 each: the first encrypts, all decrypt. Unset: they are stored as they are. "
        "`up` makes `secrets.key` in its data folder for a database of its own",
    )
    log_format: LogFormat = Field(
        "auto",
        description="`console` for people, `json` for programs; `auto` is console on a terminal, else JSON",
    )
    log_level: LogLevel = Field("info", description="least level that is written")
    traces: TracesTarget = Field(
        "off",
        description="`otlp`: spans of requests, messages and attempts are sent by OpenTelemetry, which has its "
        "own `OTEL_` variables; needs the extra `traces`",
    )
    # `traces` is a value of its own, so this can't be in a group of that name.
    traces__link: TraceLink = Field(
        "",
        description="where traces are shown, such as `https://traces.example.org/trace/{trace_id}`: the dashboard "
        "links each task that was created within a trace. Empty: no links",
    )
    admin_host: str = Field("127.0.0.1", description="address of the admin port")
    admin_port: Port | None = Field(
        None,
        description="port on which a process serves `/healthz`, `/readyz` and `/metrics`. Unset: none; 0 "
        "picks a free one. The processes beside `up` have the ports after it",
    )
    log_file: LogFileSettings = LogFileSettings()
    api: ApiSettings = ApiSettings()
    dashboard: DashboardSettings = DashboardSettings()
    limits: LimitSettings = LimitSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    quotas: QuotaSettings = QuotaSettings()
    database: DatabaseSettings = DatabaseSettings()
    roles: RoleSettings = RoleSettings()
    broker_users: BrokerUserSettings = BrokerUserSettings()
    emulation: EmulationSettings = EmulationSettings()
    lease: LeaseSettings = LeaseSettings()
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    task_log: TaskLogSettings = TaskLogSettings()
    retry: RetrySettings = RetrySettings()
    retention: RetentionSettings = RetentionSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    feed: FeedSettings = FeedSettings()
    pull: PullSettings = PullSettings()
    metrics: MetricsSettings = MetricsSettings()
    outbound: OutboundSettings = OutboundSettings()
    webhooks: WebhookSettings = WebhookSettings()

    _origins: dict[str, str] = {}  # pydantic copies it for each instance

    def require_database_url(self) -> str:
        """Return the address of the database. Raises `ConfigurationError` when none is set."""
        if self.database_url is None:
            raise ConfigurationError(_NO_DATABASE)
        return self.database_url.get_secret_value()

    def require_broker_url(self) -> str:
        """Return the address of the broker. Raises `ConfigurationError` when none is set."""
        if self.broker_url is None:
            raise ConfigurationError(_NO_BROKER)
        return self.broker_url.get_secret_value()

    @property
    def uses_broker(self) -> bool:
        """Whether workers learn of tasks from RabbitMQ: an address is known, and the policy allows it."""
        return self.broker != "postgres" and self.broker_url is not None

    @property
    def hint_queue_type(self) -> Literal["classic", "quorum"]:
        """The type of new hint queues."""
        if self.hint_queues != "auto":
            return self.hint_queues
        url = "" if self.broker_url is None else self.broker_url.get_secret_value()
        authority = url.partition("://")[2].partition("?")[0].partition("/")[0]
        return "quorum" if "," in authority.rpartition("@")[2] else "classic"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library calls by name
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library calls by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library calls by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Replace the library's sources with ours, which refuse unknown names."""
        return (init_settings, *(_LayerSource(settings_cls, layer) for layer in _layers()))


class Effective(NamedTuple):
    """One effective setting: its environment name, its value with secrets masked, its source, its meaning."""

    name: str
    value: str
    source: str
    meaning: str


def load(**overrides: object) -> Settings:
    """Build the settings of this process.

    Args:
        overrides: the strongest source, by field name; a group is a mapping (``api={"port": 0}``).
            None means "not given".

    Raises:
        ConfigurationError: A name is unknown (it names the nearest known one), or a value is bad
            (the message has the source, the value and what was expected; never a secret's value).
    """
    options = _Layer("option", flattened(overrides))
    try:
        settings = Settings(**nested(options.values))
    except ValidationError as error:
        raise ConfigurationError(_explained(error, (options, *_layers()))) from None
    for layer in reversed((options, *_layers())):
        settings._origins.update(dict.fromkeys(layer.values, layer.origin))  # noqa: SLF001 - its own module
    return settings


def effective(settings: Settings) -> list[Effective]:
    """List every setting in order of declaration; sources are known for settings made by `load`."""
    origins = settings._origins  # noqa: SLF001 - its own module
    return [
        Effective(
            _env_name(name), shown(value), origins.get(name, "default"), field.description or ""
        )
        for name, field in _known().items()
        for value in [reduce(getattr, name.split("."), settings)]
    ]


class _Layer(NamedTuple):
    """The values of one source, by dotted name."""

    origin: str
    values: Mapping[str, Any]


class _LayerSource(PydanticBaseSettingsSource):
    """Passes a layer to the library."""

    def __init__(self, settings_cls: type[BaseSettings], layer: _Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the library's signature
        """Return one field, as the library's interface requires; the layer is read as a whole."""
        return nested(self._layer.values).get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return nested(self._layer.values)


def _layers() -> tuple[_Layer, ...]:
    """Read the sources below the options, strongest first."""
    return (_named_layer("environment", os.environ), _dotenv_layer(), _toml_layer())


def _dotenv_layer() -> _Layer:
    try:
        return _named_layer(_DOTENV, DotEnvSettingsSource(Settings, env_file=_DOTENV).env_vars)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{_DOTENV} can't be read: {error}") from None


def _named_layer(origin: str, names: Mapping[str, str | None]) -> _Layer:
    """Select the ``TASKMILL_`` names, in any case."""
    ours = {name.upper(): value for name, value in names.items()}
    values: dict[str, str] = {}
    for name, value in ours.items():
        if not name.startswith(_PREFIX) or name in _OTHER_NAMES:
            continue
        dotted = name.removeprefix(_PREFIX).lower()
        dotted = dotted if dotted in _known() else dotted.replace("__", ".")
        if dotted not in _known():
            known = [*map(_env_name, _known()), *_OTHER_NAMES]
            raise ConfigurationError(unknown_name(name, dotted, origin, known))
        if value:
            values[dotted] = value
    return _Layer(origin, values)


def _toml_layer() -> _Layer:
    chosen = os.environ.get("TASKMILL_CONFIG_FILE")
    path = Path(chosen or _TOML)
    if not chosen and not path.exists():
        return _Layer(_TOML, {})
    try:
        values = flattened(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from None
    for name in values:
        if name not in _known():
            raise ConfigurationError(unknown_name(name, name, str(path), list(_known())))
    return _Layer(str(path), values)


@cache
def _known() -> dict[str, FieldInfo]:
    """Every setting by its dotted name, in order of declaration."""
    return dict(_fields(Settings, ""))


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _is_secret(annotation: object) -> bool:
    """Return whether values of a type contain a secret."""
    return annotation is SecretStr or any(map(_is_secret, get_args(annotation)))


def _env_name(dotted: str) -> str:
    return _PREFIX + dotted.replace(".", "__").upper()


def _explained(error: ValidationError, layers: tuple[_Layer, ...]) -> str:
    """Return a line for each bad value: what came, from where, and what was expected."""
    lines = []
    for detail in error.errors(include_url=False, include_context=False):
        name = ".".join(str(part) for part in detail["loc"][:2])
        expected = detail["msg"].removeprefix("Value error, ").replace("tuple", "list")
        expected = re.sub(r"^Input should be", "expected", expected)
        lines.append(f"{_came(name, layers)}: {expected}")
    return "\n".join(lines)


def _came(name: str, layers: tuple[_Layer, ...]) -> str:
    for layer in layers:
        if name in layer.values:
            is_secret = _is_secret(_known()[name].annotation)
            shown = "" if is_secret else f"={str(layer.values[name])[:80]!r}"
            return f"{_env_name(name)}{shown} ({layer.origin})"
    return _env_name(name)
