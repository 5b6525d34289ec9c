"""The options that all commands over HTTP share, and the client that they make from them."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from taskmill.client.synchronous.client import TaskmillClient

__all__ = ["DEFAULT_URL", "json_option", "open_client", "quiet_option", "url_option"]

DEFAULT_URL = "http://127.0.0.1:8000"

F = TypeVar("F", bound=Callable[..., Any])


def url_option(command: F) -> F:
    """Add ``--url``."""
    return click.option(
        "--url",
        envvar="TASKMILL_URL",
        show_envvar=True,
        default=DEFAULT_URL,
        show_default=True,
        help="Where the service is.",
    )(command)


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="JSON for programs.")(command)


def quiet_option(command: F) -> F:
    """Add ``--quiet``."""
    return click.option(
        "-q", "--quiet", is_flag=True, help="Print ids only, or nothing if there are none."
    )(command)


def open_client(url: str) -> TaskmillClient:
    """Make a client that gives up soon: a person waits for it."""
    return TaskmillClient(url, retries=1)
