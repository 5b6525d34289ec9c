"""Tells whoever waits for it that a process serves, and where."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import orjson

from taskmill.composition.process import Process
from taskmill.observability import logs
from taskmill.runtime.periodic import pause
from taskmill.runtime.waiting import first_of
from taskmill.settings import Settings

log = logs.get_logger(__name__)

# While something is on its way it is looked for often, else seldom: a system at rest is to have little to do.
_PAUSE_S = 0.5
_SETTLED_PAUSE_S = 3.0


class Front(Protocol):
    """What serves the API."""

    started: asyncio.Event
    url: str | None


class Announcement:
    """Tells, once everything serves, where the API is: in the log, the ready files and to whoever asked.

    The files also say how the broker and the intake are, and are written anew when that changes.
    """

    name = "announcement"
    process: Process

    def __init__(
        self,
        ready_files: Sequence[Path],
        announce: Callable[[str | None], None],
        front: Front | None = None,
        is_broker_starting: Callable[[], bool] = lambda: False,
    ) -> None:
        self.is_broker_starting = is_broker_starting
        self._front = front
        self._ready_files = ready_files
        self._announce = announce

    @property
    def is_front(self) -> bool:
        """Whether ready files tell of an API that other processes serve."""
        return bool(self._ready_files) and self._front is not None and self._front.url is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Announce, unless told to stop before that; the ready files are taken away at the end."""
        server = self._front or self.process.server
        for door in (self.process.admin_server, server):
            if door is not None:
                await first_of(door.started, stop)
        if stop.is_set():
            return
        url = server.url if server else None
        log.info("process.ready", url=url, pid=os.getpid())
        told = await self._presence()
        for file in self._ready_files:
            _write_ready_file(file, self.process.settings, url, told)
        self._announce(url)
        await self._keep_up(stop, url, told)
        for file in self._ready_files:
            file.unlink(missing_ok=True)

    async def _keep_up(self, stop: asyncio.Event, url: str | None, told: Mapping[str, str]) -> None:
        """Write the files again whenever the broker or the intake is not as they say."""
        while not stop.is_set():
            is_changing = told.get("broker") == "away" or "starting" in told.values()
            await pause(stop, _PAUSE_S if is_changing else _SETTLED_PAUSE_S)
            found = await self._presence()
            if found == told or stop.is_set():
                continue
            told = found
            # One that is gone was taken by whoever waited for it; a full disk must not end the process.
            for file in filter(Path.exists, self._ready_files):
                with suppress(OSError):
                    _write_ready_file(file, self.process.settings, url, told)

    async def _presence(self) -> Mapping[str, str]:
        """Return how broker and intake are, in a word each; nothing where this process can't tell."""
        watch = self.process.broker_watch()
        intake = await watch.intake_state()
        if intake is None:
            return {}
        broker = watch.state()
        word = "starting" if broker.is_starting else str(broker.presence)
        return {"broker": word, "intake": str(intake.presence)}


def _write_ready_file(
    path: Path, settings: Settings, url: str | None, presence: Mapping[str, str]
) -> None:
    """Write it whole or not at all: whoever waits for it reads it as soon as it is there."""
    facts = {
        "url": url,
        "amqp_url": settings.broker_url.get_secret_value() if settings.broker_url else None,
        "database_url": settings.require_database_url(),
        "pid": os.getpid(),
        **presence,
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(orjson.dumps(facts, option=orjson.OPT_APPEND_NEWLINE))
    draft.replace(path)
