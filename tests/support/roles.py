"""Taskmill's roles on the tests' servers: the program under test has their logins.

Tests look things up with the server's own login, `taskmill`, which is a superuser.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from taskmill.embedded.cluster import USER
from taskmill.storage.rights import APP, ENQUEUE, MAINTENANCE, READER

PASSWORDS: Final[Mapping[str, str]] = {
    role: f"password-of-{role.removeprefix('taskmill_')}"
    for role in (APP, MAINTENANCE, READER, ENQUEUE)
}
DATABASE: Final = "TASKMILL_DATABASE_URL"
MAINTENANCE_DATABASE: Final = "TASKMILL_MAINTENANCE__DATABASE_URL"


def as_role(url: str, role: str, password: str | None = None) -> str:
    """Return the address with the login of a role."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{password or PASSWORDS[role]}@{host}").geturl()


def process_settings(
    url: str, *, maintenance: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Return the settings of a process of several roles: the address with the login of each."""
    own = {**(maintenance or {}), "database_url": as_role(url, MAINTENANCE)}
    return {"database_url": as_role(url, APP), "maintenance": own}


def with_logins(arguments: Sequence[object], env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which `taskmill run …` has the logins of its roles instead of the server's own.

    All other commands, such as `up`, keep what they have: they migrate.
    """
    command, *words = arguments
    url = env.get(DATABASE)
    if command != "run" or url is None or urlsplit(url).username != USER:
        return dict(env)
    if "maintenance" not in words:
        return {**env, DATABASE: as_role(url, APP)}
    if not {"api", "worker", "relay", "intake", "webhooks"} & {*map(str, words)}:
        return {**env, DATABASE: as_role(url, MAINTENANCE)}
    return {MAINTENANCE_DATABASE: as_role(url, MAINTENANCE), **env, DATABASE: as_role(url, APP)}
