"""Tells whoever waits for it that a process serves, and where."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import orjson

from taskmill.composition.process import Process
from taskmill.observability import logs
from taskmill.runtime.periodic import any_set
from taskmill.settings import Settings

log = logs.get_logger(__name__)


class Front(Protocol):
    """What serves the API."""

    started: asyncio.Event
    url: str | None


class Announcement:
    """Tells, once everything serves, where the API is: in the log, the ready files and to whoever asked."""

    name = "announcement"
    process: Process

    def __init__(
        self,
        ready_files: Sequence[Path],
        announce: Callable[[str | None], None],
        front: Front | None = None,
    ) -> None:
        self._front = front
        self._ready_files = ready_files
        self._announce = announce

    async def run(self, stop: asyncio.Event) -> None:
        """Announce, unless told to stop before that; the ready files are taken away at the end."""
        server = self._front or self.process.server
        for door in (self.process.admin_server, server):
            if door is not None:
                await any_set(door.started, stop)
        if stop.is_set():
            return
        url = server.url if server else None
        log.info("process.ready", url=url, pid=os.getpid())
        for file in self._ready_files:
            _write_ready_file(file, self.process.settings, url)
        self._announce(url)
        await stop.wait()
        for file in self._ready_files:
            file.unlink(missing_ok=True)


def _write_ready_file(path: Path, settings: Settings, url: str | None) -> None:
    """Write it whole or not at all: whoever waits for it reads it as soon as it is there."""
    facts = {
        "url": url,
        "amqp_url": settings.broker_url.get_secret_value() if settings.broker_url else None,
        "database_url": settings.require_database_url(),
        "pid": os.getpid(),
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))
    draft.replace(path)
