"""The addresses of broker and database: from options, settings, or a running `taskmill up`.

`up` writes its addresses into a file in its data folder while it runs. Only that file is opened here. The
file with the keys of stored secrets is beside it.
"""

import json
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from taskmill.domain.errors import ConfigurationError
from taskmill.settings import Settings, load
from taskmill.storage.key_file import NAME

SERVICE_FILE = "service.json"
# The first one that `up` has written: with a PostgreSQL of its own it has an address for processes.
_SERVICE_KEYS = {
    "broker_url": ("amqp_url",),
    "database_url": ("app_database_url", "database_url"),
}
_MAINTENANCE_KEY = "maintenance_database_url"
# For messages: in words, its option, its form.
_NEEDS = {
    "broker_url": ("a broker", "--broker-url", "amqp://user:password@host:port/vhost"),
    "database_url": (
        "a database",
        "--database-url",
        "postgresql://user:password@host:port/database",
    ),
}

broker_url_option = click.option(
    "--broker-url",
    metavar="URL",
    help="RabbitMQ, amqp://user:password@host:port/vhost.  "
    "[default: TASKMILL_BROKER_URL, or that of the `taskmill up` that runs here]",
)
database_url_option = click.option(
    "--database-url",
    metavar="URL",
    help="PostgreSQL, postgresql://user:password@host:port/database.  "
    "[default: TASKMILL_DATABASE_URL, or that of the `taskmill up` that runs here]",
)
data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Data folder of the `taskmill up` that runs here.  [default: .taskmill]",
)


def settings_to_run(data: Path | None, **options: object) -> Settings:
    """Load the settings; if no database is set, both addresses are those of a running `up`.

    Its broker is never used with another database: hints are about the tasks of one database.

    Raises:
        ConfigurationError: As for `settings_of`, which needs a database then.
    """
    settings = load(data_dir=data, **options)
    return settings if settings.database_url else settings_of(data, "database_url", **options)


def settings_of(data: Path | None, needed: str, **addresses: object) -> Settings:
    """Load the settings; addresses that are not set are those of a running `up`, and so is the key file.

    Args:
        data: data folder of that `up`; None takes the one that is set.
        needed: ``broker_url`` or ``database_url``: the one that must be found.
        addresses: ``broker_url`` and ``database_url`` where they were given as options, and other options.

    Raises:
        ConfigurationError: A setting can't be used, the file of `up` can't be read, or `needed` is not set and
            no `up` runs there.
    """
    settings = load(data_dir=data, **addresses)
    missing = [name for name in _SERVICE_KEYS if getattr(settings, name) is None]
    if not missing:
        return settings
    service = _read_service(settings.data_dir / SERVICE_FILE)
    if service is None and needed in missing:
        raise ConfigurationError(_missing_text(settings.data_dir, needed))
    found = _found(service or {}, missing)
    key_file = settings.data_dir / NAME
    if settings.secrets_key_file is None and found.get("database_url") and key_file.exists():
        found["secrets_key_file"] = key_file
    return load(data_dir=data, **{**addresses, **found})


def owner_settings_of(data: Path | None, database_url: str | None) -> Settings:
    """Load the settings as `settings_of`, but connect to the database of a running `up` as who owns all of it."""
    settings = settings_of(data, "database_url", database_url=database_url)
    if load(data_dir=data, database_url=database_url).database_url is not None:
        return settings
    service = _read_service(settings.data_dir / SERVICE_FILE) or {}
    url = SecretStr(str(service.get("database_url", "")))
    return settings.model_copy(update={"database_url": url})


def _found(service: dict[str, Any], missing: list[str]) -> dict[str, object]:
    found: dict[str, object] = {
        name: next((service[key] for key in _SERVICE_KEYS[name] if service.get(key)), None)
        for name in missing
    }
    if "database_url" in missing:
        found["maintenance"] = {"database_url": service.get(_MAINTENANCE_KEY)}
    return found


def _missing_text(data: Path, needed: str) -> str:
    what, option, form = _NEEDS[needed]
    return (
        f"no {what.removeprefix('a ')} is set, and no `taskmill up` runs with the data folder {data.absolute()}.\n"
        "For one that runs elsewhere, name its data folder: --data DIR, the .taskmill of the folder in which "
        f"`taskmill up` was started.\nFor {what} of your own, give {option} or TASKMILL_{needed.upper()} ({form})."
    )


def _read_service(path: Path) -> dict[str, Any] | None:
    """Return what a running `up` has written; None if none runs."""
    try:
        service = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from None
    return service if isinstance(service, dict) else {}
