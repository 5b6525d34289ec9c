"""Collects the log lines of one handler: numbers them, limits them, and passes them on to be stored."""

import logging
from collections.abc import Mapping
from contextvars import Token
from typing import Any, Self
from uuid import UUID

from taskmill.observability import capture
from taskmill.storage.task_log import NewLine
from taskmill.worker import lines
from taskmill.worker.task_log import TaskLog


class ClaimLog:
    """The log lines of one claim, from any thread. While it is entered it also captures records of `logging`.

    Where lines are missing, a line says how many: as soon as there is room again, or on leaving for those over the
    claim's own limits.
    """

    __slots__ = (
        "_bytes",
        "_claim_no",
        "_is_full",
        "_lines",
        "_log",
        "_missing",
        "_task_id",
        "_token",
    )

    def __init__(self, log: TaskLog, task_id: UUID, claim_no: int) -> None:
        self._log = log
        self._task_id = task_id
        self._claim_no = claim_no
        self._lines = self._bytes = self._missing = 0
        self._is_full = False
        self._token: Token[capture.Listener | None] | None = None

    def __enter__(self) -> Self:
        self._token = capture.begin(self.take_record)
        return self

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            capture.end(self._token)
        if self._missing:
            with self._log.lock:
                self._report_missing()

    def write(self, level: int, event: object, fields: Mapping[str, Any]) -> None:
        """Add a line of the context's logger."""
        if self._takes(level):
            self._add(level, None, event, lines.with_traceback(fields))

    def take_record(self, record: logging.LogRecord) -> None:
        """Add a record of `logging`."""
        if self._takes(record.levelno):
            fields = lines.record_fields(record)
            self._add(
                record.levelno, lines.record_name(record), lines.record_message(record), fields
            )

    def _takes(self, level: int) -> bool:
        """Whether a line of this level is wanted; called before any other work is done for it."""
        if level < self._log.least_level:
            return False
        if self._is_full:
            with self._log.lock:
                self._count_missing()
        return not self._is_full

    def _add(
        self, level: int, logger: str | None, message: object, fields: Mapping[str, Any]
    ) -> None:
        limits = self._log.limits
        text = lines.message_text(message, limits.message_chars)
        facts = lines.fields_text(fields, limits.fields_bytes)
        size = len(text.encode()) + len((facts or "").encode()) + len((logger or "").encode())
        with self._log.lock:
            if self._lines >= limits.claim_lines or self._bytes + size > limits.claim_bytes:
                self._is_full = True
            if (
                self._is_full
                or (self._missing and not self._report_missing())
                or not self._put(level, logger, text, facts, size)
            ):
                self._count_missing()

    def _count_missing(self) -> None:
        self._missing += 1
        self._log.count_missing(is_claim_full=self._is_full)

    def _report_missing(self) -> bool:
        """Add a line with the number of missing lines. Call it with the lock held."""
        are = "1 line was" if self._missing == 1 else f"{self._missing} lines were"
        text = f"{are} left out"
        if not self._put(logging.WARNING, None, text, None, len(text)):
            return False
        self._missing = 0
        return True

    def _put(
        self, level: int, logger: str | None, text: str, fields: str | None, size: int
    ) -> bool:
        # Counted first: meanwhile the garbage collector may run something that logs another line.
        self._lines += 1
        line = NewLine(
            task_id=self._task_id,
            claim_no=self._claim_no,
            seq=self._lines,
            at=self._log.clock.now(),
            # A custom level counts as the standard one below it.
            level=min(max(level // 10 * 10, logging.DEBUG), logging.CRITICAL),
            logger=logger,
            message=text,
            fields=fields,
        )
        if not self._log.put(line, size):
            self._lines -= 1
            return False
        self._bytes += size
        return True
