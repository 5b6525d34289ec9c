"""What can be configured, where it comes from, and what is wrong with it.

The only home of the environment. Sources, strongest first: the caller's options, the environment
(``TASKMILL_API__PORT``), ``.env`` in the working folder, a TOML file (``taskmill.toml``, or the one
that ``TASKMILL_CONFIG_FILE`` names), defaults. Empty names count as unset.
It reads and checks values; it opens nothing that they point to.
"""

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache, reduce
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from taskmill.domain.errors import ConfigurationError

__all__ = ["Effective", "Settings", "effective", "load"]

_PREFIX = "TASKMILL_"
_DOTENV = ".env"
_TOML = "taskmill.toml"
# Taskmill's names that are no setting: they choose the file, and the server that the CLI talks to.
_OTHER_NAMES = frozenset(
    {"TASKMILL_CONFIG_FILE", "TASKMILL_PYTHON", "TASKMILL_TEST_POSTGRES_BIN", "TASKMILL_URL"}
)
_HOST = r"(?:\[[^]/]*\]|[^]\[:,/?#]*)(?::(?:[0-5]?[0-9]{0,4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-3][0-9]))?"
_HOSTS = re.compile(rf"(?:[^/]*@)?{_HOST}(?:,{_HOST})*(?:[/?#].*)?", re.ASCII | re.DOTALL)
_NO_DATABASE = """no database is set: give --database-url or TASKMILL_DATABASE_URL
(postgresql://user:password@host:port/database), or use `taskmill up`, which brings its own"""


def _parsed_list(value: object) -> object:
    """Read ``a, b`` or ``["a", "b"]``; anything else is left to the type's own check."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [item for part in value.split(",") if (item := part.strip())]
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(value) if isinstance(value, str) else value
    return value


def _parsed_database_url(value: object) -> object:
    """Accept the spellings that other tools use, and hand on one: ``postgresql://``."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    scheme, separator, rest = text.strip().partition("://")
    is_postgres = separator and scheme.partition("+")[0] in {"postgresql", "postgres"}
    if not is_postgres or _HOSTS.fullmatch(rest) is None:
        raise ValueError("expected postgresql://user:password@host:port/database")
    return SecretStr(f"postgresql://{rest}")


Names = Annotated[tuple[str, ...], BeforeValidator(_parsed_list)]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_parsed_database_url)]
LogFormat = Literal["auto", "console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SecondsOrZero = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class _Group(BaseModel):
    """A frozen group of settings that knows all its names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiSettings(_Group):
    """Where the API listens."""

    host: str = Field("127.0.0.1", description="address the API listens on")
    port: Port = Field(8000, description="port of the API; 0 picks a free one")


class LimitSettings(_Group):
    """What a request may ask for."""

    body_bytes: Count = Field(1024**2, description="largest body of one request")
    batch_bytes: Count = Field(32 * 1024**2, description="largest body of POST /tasks/batch")
    batch_items: Count = Field(10_000, description="most tasks in one batch")
    labels: Count = Field(64, description="most labels of a task")
    result_bytes: Count = Field(1024**2, description="largest result of a task")
    idempotency_key_chars: Count = Field(255, description="longest idempotency key")
    queues: Count = Field(1000, description="most queues")
    request_timeout_s: Seconds = Field(5.0, description="when a request is given up with 503")


class DatabaseSettings(_Group):
    """How PostgreSQL is used."""

    pool_size: Count = Field(8, description="connections for the hot statements, per process")
    listing_pool_size: Count = Field(4, description="connections for lists, per process")
    statement_timeout_s: Seconds = Field(10.0, description="longest statement")
    connect_timeout_s: Seconds = Field(5.0, description="longest wait for a connection")


class EmulationSettings(_Group):
    """How tasks are emulated when their payload does not say."""

    delay_min_s: SecondsOrZero = Field(5.0, description="shortest emulated run")
    delay_max_s: SecondsOrZero = Field(10.0, description="longest emulated run")
    failure_probability: float = Field(0.2, ge=0, le=1, description="share of runs that fail")
    types: Names = Field((), description="types without a handler to emulate; * for all")

    @model_validator(mode="after")
    def _delays_are_ordered(self) -> "EmulationSettings":
        if self.delay_min_s > self.delay_max_s:
            raise ValueError("expected delay_min_s to be at most delay_max_s")
        return self


class LeaseSettings(_Group):
    """How long a silent worker keeps its tasks."""

    ttl_s: float = Field(15.0, ge=1, allow_inf_nan=False, description="time to live of a lease")


def _worker_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class WorkerSettings(_Group):
    """What a worker process takes."""

    name: str = Field(
        default_factory=_worker_name, min_length=1, max_length=200, description="name"
    )
    concurrency: int = Field(1000, ge=1, le=50_000, description="tasks that run at once")
    queues: Names = Field((), description="queues to serve; empty for all")
    grace_s: SecondsOrZero = Field(10.0, description="time to finish before tasks are handed back")
    poll_s: Seconds = Field(0.25, description="pause between looks at an empty queue")
    claim_size: Count = Field(500, description="most tasks in one claim")


class RetrySettings(_Group):
    """The retry policy of a task that brings none."""

    base_s: SecondsOrZero = Field(1.0, description="delay before the second attempt")
    factor: float = Field(2.0, ge=1, allow_inf_nan=False, description="growth of the delay")
    max_s: SecondsOrZero = Field(3600.0, description="longest delay")
    jitter: float = Field(0.1, ge=0, le=1, description="random share of the delay")


class RetentionSettings(_Group):
    """How long things are kept."""

    tasks_days: int = Field(365, ge=1, le=380, description="days to keep finished tasks")
    change_days: int = Field(7, ge=1, le=380, description="days to keep the change feed")
    idempotency_days: int = Field(7, ge=1, le=380, description="days an idempotency key holds")


class MaintenanceSettings(_Group):
    """How often maintenance looks."""

    interval_s: Seconds = Field(1.0, description="pause between rounds")


class Settings(BaseSettings):
    """All settings of one process, frozen; made by `load`, which tells errors for people."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    database_url: DatabaseUrl | None = Field(None, description="postgresql://user:password@…/db")
    data_dir: Path = Field(Path(".taskmill"), description="folder of the embedded services")
    log_format: LogFormat = Field("auto", description="auto: console on a terminal, else json")
    log_level: LogLevel = Field("info", description="least level that is written")
    api: ApiSettings = ApiSettings()
    limits: LimitSettings = LimitSettings()
    database: DatabaseSettings = DatabaseSettings()
    emulation: EmulationSettings = EmulationSettings()
    lease: LeaseSettings = LeaseSettings()
    worker: WorkerSettings = Field(default_factory=WorkerSettings)
    retry: RetrySettings = RetrySettings()
    retention: RetentionSettings = RetentionSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()

    _origins: dict[str, str] = {}  # pydantic copies it for each instance

    def require_database_url(self) -> str:
        """Return the address of the database. Raises `ConfigurationError` when none is set."""
        if self.database_url is None:
            raise ConfigurationError(_NO_DATABASE)
        return self.database_url.get_secret_value()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library calls by name
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library calls by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library calls by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Replace the library's sources by ours, which refuse unknown names."""
        return (init_settings, *(_LayerSource(settings_cls, layer) for layer in _layers()))


class Effective(NamedTuple):
    """One setting as it holds: its environment name, its value with secrets masked, its source."""

    name: str
    value: str
    source: str


def load(**overrides: object) -> Settings:
    """Build the settings of this process.

    Args:
        overrides: the strongest source, by field name; a group is a mapping (``api={"port": 0}``).
            None means "not given".

    Raises:
        ConfigurationError: A name is unknown (it names the nearest known one), or a value is bad
            (it says the source, what came and what was expected; never a secret's value).
    """
    options = _Layer("option", _flattened(overrides))
    try:
        settings = Settings(**_nested(options.values))
    except ValidationError as error:
        raise ConfigurationError(_explained(error, (options, *_layers()))) from None
    for layer in reversed((options, *_layers())):
        settings._origins.update(dict.fromkeys(layer.values, layer.origin))  # noqa: SLF001 - its own module
    return settings


def effective(settings: Settings) -> list[Effective]:
    """List every setting in order of declaration; sources are known for settings made by `load`."""
    origins = settings._origins  # noqa: SLF001 - its own module
    return [
        Effective(_env_name(name), _shown(value), origins.get(name, "default"))
        for name in _known()
        for value in [reduce(getattr, name.split("."), settings)]
    ]


class _Layer(NamedTuple):
    """What one source says: values by dotted name."""

    origin: str
    values: Mapping[str, Any]


class _LayerSource(PydanticBaseSettingsSource):
    """Hands a layer to the library."""

    def __init__(self, settings_cls: type[BaseSettings], layer: _Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - the library's signature
        """Answer for one field, as the library's interface asks; the layer is read as a whole."""
        return _nested(self._layer.values).get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return _nested(self._layer.values)


def _layers() -> tuple[_Layer, ...]:
    """Read the sources below the options, strongest first."""
    return (_named_layer("environment", os.environ), _dotenv_layer(), _toml_layer())


def _dotenv_layer() -> _Layer:
    try:
        return _named_layer(_DOTENV, DotEnvSettingsSource(Settings, env_file=_DOTENV).env_vars)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{_DOTENV} can't be read: {error}") from None


def _named_layer(origin: str, names: Mapping[str, str | None]) -> _Layer:
    """Take the ``TASKMILL_`` names, in any case, out of all others."""
    ours = {name.upper(): value for name, value in names.items()}
    values: dict[str, str] = {}
    for name, value in ours.items():
        if not name.startswith(_PREFIX) or name in _OTHER_NAMES:
            continue
        dotted = name.removeprefix(_PREFIX).replace("__", ".").lower()
        if dotted not in _known():
            known = [*map(_env_name, _known()), *_OTHER_NAMES]
            raise ConfigurationError(_unknown(name, origin, known))
        if value:
            values[dotted] = value
    return _Layer(origin, values)


def _toml_layer() -> _Layer:
    chosen = os.environ.get("TASKMILL_CONFIG_FILE")
    path = Path(chosen or _TOML)
    if not chosen and not path.exists():
        return _Layer(_TOML, {})
    try:
        values = _flattened(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from None
    for name in values:
        if name not in _known():
            raise ConfigurationError(_unknown(name, str(path), list(_known())))
    return _Layer(str(path), values)


@cache
def _known() -> dict[str, FieldInfo]:
    """Every setting by its dotted name, in order of declaration."""
    return dict(_fields(Settings, ""))


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, _Group):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _env_name(dotted: str) -> str:
    return _PREFIX + dotted.replace(".", "__").upper()


def _flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flattened(value, f"{prefix}{name}."))
        elif value is not None:
            flat[f"{prefix}{name}"] = value
    return flat


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for dotted, value in values.items():
        group, _, name = dotted.rpartition(".")
        (nested.setdefault(group, {}) if group else nested)[name] = value
    return nested


def _unknown(name: str, origin: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {nearest[0]}?" if nearest else "; see `taskmill settings`"
    return f"{name} ({origin}) is not a setting{hint}"


def _explained(error: ValidationError, layers: tuple[_Layer, ...]) -> str:
    """Say for each bad value what came, from where, and what was expected."""
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
            shown = "" if name == "database_url" else f"={str(layer.values[name])[:80]!r}"
            return f"{_env_name(name)}{shown} ({layer.origin})"
    return _env_name(name)


def _shown(value: object) -> str:
    if isinstance(value, SecretStr):
        return _masked_url(value.get_secret_value())
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)


def _masked_url(url: str) -> str:
    """Hide the password of a database URL; hide all of it when it can't be told apart."""
    address, _, query = url.partition("?")
    credentials, _, place = address.removeprefix("postgresql://").rpartition("@")
    if "@" in query and not credentials:
        return "***"
    user, colon, _ = credentials.partition(":")
    shown = f"postgresql://{user}{':***' if colon else ''}{'@' if credentials else ''}{place}"
    return shown + ("?" + re.sub(r"(password=)[^&]*", r"\1***", query) if query else "")
