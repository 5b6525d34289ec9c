"""Finds the new primary soon after the one in use fell silent, where an address names several servers."""

from collections.abc import Iterable
from typing import Final

from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.storage.database import Database

_INTERVAL_S: Final = 2.0


def server_watch(databases: Iterable[Database]) -> list[Service]:
    """Return the service that looks for another server while statements get no results, if there may be one."""
    watched = [database for database in databases if database.has_several_servers]
    if not watched:
        return []

    async def leave_silent_servers() -> None:
        for database in watched:
            await database.leave_silent_server()

    return [Periodic("server-watch", leave_silent_servers, interval_s=_INTERVAL_S)]
