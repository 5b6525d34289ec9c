"""Connections with the login of a role, as processes have them, and that of another where it is needed."""

from taskmill.settings import DatabaseSettings
from taskmill.storage.database import Database
from taskmill.storage.rights import APP, OWNER
from tests.support.roles import as_role


class RoleDatabase(Database):
    """The connections of a process, with the login of its role.

    Args:
        url: an address on a server of tests, of any login.
        settings: as for `Database`.
        role: whose login it has; of `OWNER`, nobody logs in as which, it is the server's own, that of the address.
    """

    def __init__(self, url: str, settings: DatabaseSettings, *, role: str = APP) -> None:
        super().__init__(url if role == OWNER else as_role(url, role), settings)
        self._url = url
        self._of_settings = settings
        self._others: dict[str, RoleDatabase] = {}

    def of(self, role: str) -> "RoleDatabase":
        """Return connections with another login, which are closed with these."""
        if role not in self._others:
            self._others[role] = RoleDatabase(self._url, self._of_settings, role=role)
        return self._others[role]

    async def close(self) -> None:
        """Close these connections and those of other logins."""
        for other in self._others.values():
            await other.close()
        await super().close()


def in_role(database: Database, role: str) -> Database:
    """Return connections to the same database with the login of a role; those of other tests stay as they are."""
    return database.of(role) if isinstance(database, RoleDatabase) else database
