"""The duty that does what SQL has asked for of schedules; the duty trigger finds that there is something."""

from typing import Final

from taskmill.observability.logs import get_logger
from taskmill.operations.contracts import Contracts
from taskmill.operations.schedule_requests import ScheduleRequests
from taskmill.storage import schedule_requests
from taskmill.storage.database import Database

log = get_logger(__name__)

_MOST_AT_ONCE: Final = 100


class DoScheduleRequests:
    """Each round takes some requests; one that has to wait keeps no other one."""

    def __init__(
        self, database: Database, requests: ScheduleRequests, contracts: Contracts
    ) -> None:
        self._database = database
        self._requests = requests
        self._contracts = contracts
        self._after = schedule_requests.FIRST_ID

    async def __call__(self) -> bool:
        """Do one round; True when there may be more to do at once."""
        found = await schedule_requests.page_open(
            self._database, after=self._after, limit=_MOST_AT_ONCE
        )
        if found:
            await self._contracts.refresh()
        for request in found:
            try:
                await self._requests.do(request)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one must keep no other one
                log.warning("schedule.request_delayed", schedule=request.name, error=repr(error))
        has_more = len(found) == _MOST_AT_ONCE
        self._after = found[-1].id if has_more else schedule_requests.FIRST_ID
        return has_more
