"""Makes or drops the index over names, as the settings say, while `taskmill up` serves."""

import asyncio

from taskmill.runtime.waiting import first_of, wake_on
from taskmill.storage import name_index


class NameIndexing:
    """A service that does it once, when everything serves (`start_after`). A stop ends it at once.

    It takes minutes where there are millions of tasks. When it fails or is stopped, the next start goes on.
    """

    name = "name_index"

    def __init__(self, url: str, *, is_wanted: bool, start_after: asyncio.Event) -> None:
        self._url = url
        self._is_wanted = is_wanted
        self._start_after = start_after

    async def run(self, stop: asyncio.Event) -> None:
        """Do it, then wait for the stop."""
        await first_of(self._start_after, stop)
        if not stop.is_set():
            async with asyncio.TaskGroup() as group:
                work = group.create_task(name_index.apply(self._url, is_wanted=self._is_wanted))
                async with wake_on(stop, work.cancel):
                    await asyncio.wait([work])
        await stop.wait()
