"""Where the broker and the database are: as options, settings, or a running `taskmill up` say.

`up` writes their addresses into its data folder while it runs. Nothing is opened here but that file.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from taskmill.domain.errors import ConfigurationError
from taskmill.settings import Settings, load

__all__ = [
    "broker_url_option",
    "data_option",
    "database_url_option",
    "settings_of",
    "settings_to_run",
]

SERVICE_FILE = "service.json"
_TOLD_AS = {"broker_url": "amqp_url", "database_url": "database_url"}
# What is said of each: in words, its option, how it looks.
_NEEDS = {
    "broker_url": ("a broker", "--broker-url", "amqp://user:password@host:port/vhost"),
    "database_url": (
        "a database",
        "--database-url",
        "postgresql://user:password@host:port/database",
    ),
}

F = TypeVar("F", bound=Callable[..., Any])


def broker_url_option(command: F) -> F:
    """Add ``--broker-url``."""
    return click.option(
        "--broker-url",
        metavar="URL",
        help="RabbitMQ, amqp://user:password@host:port/vhost.  "
        "[default: TASKMILL_BROKER_URL, or that of the `taskmill up` that runs here]",
    )(command)


def database_url_option(command: F) -> F:
    """Add ``--database-url``."""
    return click.option(
        "--database-url",
        metavar="URL",
        help="PostgreSQL, postgresql://user:password@host:port/database.  "
        "[default: TASKMILL_DATABASE_URL, or that of the `taskmill up` that runs here]",
    )(command)


def data_option(command: F) -> F:
    """Add ``--data``."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="Data folder of the `taskmill up` that runs here.  [default: .taskmill]",
    )(command)


def settings_to_run(data: Path | None, **options: object) -> Settings:
    """Load the settings; without a database of one's own, both addresses are those of a running `up`.

    Its broker never goes with another database: hints are about the tasks of one.

    Raises:
        ConfigurationError: As for `settings_of`, which needs a database then.
    """
    settings = load(data_dir=data, **options)
    return settings if settings.database_url else settings_of(data, "database_url", **options)


def settings_of(data: Path | None, needed: str, **addresses: object) -> Settings:
    """Load the settings, with what a running `up` tells for the addresses that are not set.

    Args:
        data: its data folder; None takes the one that is set.
        needed: ``broker_url`` or ``database_url``: what is of no use when nobody names it.
        addresses: ``broker_url`` and ``database_url``, as far as they were given as options; and
            other options.

    Raises:
        ConfigurationError: A setting can't be used, the file of `up` can't be read, or `needed` is not set and
            no `up` runs there.
    """
    settings = load(data_dir=data, **addresses)
    missing = [name for name in _TOLD_AS if getattr(settings, name) is None]
    if not missing:
        return settings
    told = _told(settings.data_dir / SERVICE_FILE)
    if told is None and needed in missing:
        raise ConfigurationError(_nobody_runs(settings.data_dir, needed))
    found = {name: (told or {}).get(_TOLD_AS[name]) for name in missing}
    return load(data_dir=data, **{**addresses, **found})


def _nobody_runs(data: Path, needed: str) -> str:
    what, option, form = _NEEDS[needed]
    return (
        f"no {what.removeprefix('a ')} is set, and no `taskmill up` runs with the data folder {data.absolute()}.\n"
        "For one that runs elsewhere, name its data folder: --data DIR, the .taskmill of the folder in which "
        f"`taskmill up` was started.\nFor {what} of your own, give {option} or TASKMILL_{needed.upper()} ({form})."
    )


def _told(path: Path) -> dict[str, Any] | None:
    """Return what a running `up` has written, None where none runs."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} can't be read: {error}") from None
    return told if isinstance(told, dict) else {}
