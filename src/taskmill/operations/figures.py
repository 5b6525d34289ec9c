"""The whole system's figures, cached: read by one caller at a time, at most every few seconds, with a timeout."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

from taskmill.domain.errors import Unavailable
from taskmill.domain.figures import SystemFigures
from taskmill.observability.logs import get_logger
from taskmill.runtime.ttl_cache import TtlCache
from taskmill.storage import figures
from taskmill.storage.database import Database

log = get_logger(__name__)

MAX_AGE_S = 5.0
TIMEOUT_S = 2.0


class FiguresCache:
    """Reads figures at most every `max_age_s`; when that fails, or takes `timeout_s`, they are None for as long.

    Callers share a read that is under way.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[SystemFigures]],
        *,
        max_age_s: float = MAX_AGE_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._read = read
        self._max_age_s = max_age_s
        self._timeout_s = timeout_s
        self._cache: TtlCache[SystemFigures | None] = TtlCache()

    @classmethod
    def of(cls, database: Database, *, longest_s: float = 2 * TIMEOUT_S) -> "FiguresCache":
        """Return a cache of this database's figures, for responses that may take `longest_s`."""
        timeout_s = min(TIMEOUT_S, longest_s / 2)
        return cls(lambda: figures.read(database), timeout_s=timeout_s)

    async def get(self) -> SystemFigures | None:
        """Return figures at most a few seconds old; None when the database does not return them in time."""
        return await self._cache.get(None, self._read_fresh, ttl_s=self._max_age_s)

    async def _read_fresh(self) -> SystemFigures | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._read()
        except (TimeoutError, Unavailable, asyncpg.PostgresError) as error:
            log.info("figures.unread", error=repr(error))
            return None
