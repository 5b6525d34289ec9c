"""Taskmill's roles on the tests' server, and addresses with their logins."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from taskmill.storage.rights import APP, ENQUEUE, MAINTENANCE, READER

PASSWORDS: Final[Mapping[str, str]] = {
    role: f"password-of-{role.removeprefix('taskmill_')}"
    for role in (APP, MAINTENANCE, READER, ENQUEUE)
}


def as_role(url: str, role: str, password: str | None = None) -> str:
    """Return the address with the login of a role."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{password or PASSWORDS[role]}@{host}").geturl()
