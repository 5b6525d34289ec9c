"""Stores log lines of workers that pull over HTTP, within the limits of every claim's lines."""

from collections.abc import Sequence

from taskmill.domain.errors import InvalidInput
from taskmill.domain.task import Fence
from taskmill.domain.task_log import SentLine
from taskmill.observability.metrics import TASK_LOG_DROPPED, TASK_LOG_STORED
from taskmill.settings import TaskLogSettings
from taskmill.storage import task_log
from taskmill.storage.database import Database

_CUT = "…"


class PullLogs:
    """Drops lines below the level of the settings, and cuts messages that are too long."""

    def __init__(self, database: Database, settings: TaskLogSettings) -> None:
        self._database = database
        self._settings = settings
        self._least_level = settings.least_level

    async def store(self, fence: Fence, first: int, lines: Sequence[SentLine]) -> int | None:
        """Store lines, numbered from `first`; return how many were dropped, None when the fence does not hold.

        Lines with the same numbers are the same lines.

        Raises:
            InvalidInput: a line's fields are larger than the settings allow.
            Unavailable: the database is away; whether they were stored is unknown.
        """
        self._check(lines)
        wanted = [
            task_log.NewSentLine(seq, one.level.number, self._cut(one.message), one.fields)
            for seq, one in enumerate(lines, first)
            if one.level.number >= self._least_level
        ]
        surplus = await task_log.add(
            self._database,
            fence,
            wanted,
            most_lines=self._settings.claim_lines,
            most_bytes=self._settings.claim_bytes,
        )
        if surplus is None:
            return None
        TASK_LOG_STORED.inc(len(wanted) - surplus)
        TASK_LOG_DROPPED.labels("claim_full").inc(surplus)
        return surplus + len(lines) - len(wanted)

    def _check(self, lines: Sequence[SentLine]) -> None:
        most = self._settings.fields_bytes
        for index, one in enumerate(lines):
            size = len((one.fields or "").encode())
            if size > most:
                expected = f"at most {most} bytes of JSON without spacing"
                raise InvalidInput.at(f"/lines/{index}/fields", expected, f"{size} bytes")

    def _cut(self, message: str) -> str:
        longest = self._settings.message_chars
        return message if len(message) <= longest else message[: longest - 1] + _CUT
